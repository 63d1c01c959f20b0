// A lineage may be wider than its place: begin at the node that the page is about. On phones the list says it better.

for (const lineage of document.querySelectorAll(".lineage")) {
  const scroll = lineage.querySelector(".lineage-scroll");
  const current = lineage.querySelector(".lineage-node.current rect");
  if (current) {
    const node = current.getBoundingClientRect();
    const place = scroll.getBoundingClientRect();
    scroll.scrollLeft += node.left + node.width / 2 - (place.left + place.width / 2);
    scroll.scrollTop += node.top + node.height / 2 - (place.top + place.height / 2);
  }
  if (window.matchMedia("(max-width: 720px)").matches) lineage.querySelector(".lineage-list").open = true;
}
