// Search in the list of errors, and mark the section that is read.
const search = document.querySelector('.index input');
const sections = [...document.querySelectorAll('section')];
const links = [...document.querySelectorAll('.index a')];

search.addEventListener('input', () => {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const section of sections) {
    const rows = [...section.querySelectorAll('li')];
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    section.hidden = rows.every((row) => row.hidden);
  }
  document.querySelector('.none').hidden = sections.some((section) => !section.hidden);
  mark();
});

/** Mark the link of the last section that begins in the upper third of the window, at the end of the page the last one. */
function mark() {
  const shown = sections.filter((section) => !section.hidden);
  const isAtEnd = scrollY > 0 && scrollY + innerHeight >= document.documentElement.scrollHeight - 1;
  const current = isAtEnd ? shown.at(-1) : shown.findLast((section) => section.getBoundingClientRect().top < innerHeight / 3) ?? shown[0];
  links.forEach((link, at) => (sections[at] === current ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current')));
}
addEventListener('scroll', mark, { passive: true });
mark();
