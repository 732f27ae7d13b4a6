"use strict";
const faults = [];
addEventListener("error", (event) => faults.push(String(event.message || event.target.outerHTML)), true);
addEventListener("securitypolicyviolation", (event) => faults.push("refused " + event.blockedURI));

function tableBoxes() {
  return [...document.querySelectorAll(".scroll")].map((box) => {
    const first = box.querySelector("tbody th"), before = box.scrollLeft;
    box.scrollLeft = 60;
    const moved = box.scrollLeft - before;
    const offset = first.getBoundingClientRect().left - box.getBoundingClientRect().left;
    box.scrollLeft = before;
    return { moved, offset, right: box.getBoundingClientRect().right, first: first.offsetWidth, box: box.clientWidth };
  });
}

function wide() {
  return [...document.querySelectorAll("body *")]
    .filter((element) => !element.closest("table") && element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML.slice(0, 200));
}

addEventListener("load", () => {
  const text = (element) => element.textContent.trim().replace(/\s+/g, " ");
  const links = [...document.querySelectorAll("nav a")];
  links.at(-1).click();
  const target = document.querySelector(location.hash);
  const findings = {
    faults,
    title: document.title,
    width: innerWidth,
    scrollWidth: document.documentElement.scrollWidth,
    wide: wide(),
    images: [...document.images].map((image) => ({
      alt: image.alt, natural: image.naturalWidth, shown: image.getBoundingClientRect().width,
      rendering: getComputedStyle(image).imageRendering,
    })),
    tables: [...document.querySelectorAll("table")].map((table) => [...table.rows].map((row) => [...row.cells].map(text))),
    boxes: tableBoxes(),
    links: links.map((link) => link.getAttribute("href")),
    followed: target && text(target.querySelector("h2, h3")),
    loaded: performance.getEntriesByType("resource").map((entry) => entry.name.slice(0, 100)),
  };
  parent.postMessage(JSON.stringify(findings), "*");
});
