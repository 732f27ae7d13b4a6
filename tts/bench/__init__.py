"""What generating costs: operations counted without a device."""
