// Which page is shown: #/ all policies, #/POLICY/BAND one of them, #/method how thresholds are found.
const APP = document.getElementById("app");
let rendering = 0;

async function render() {
  const turn = ++rendering;
  const [name, band] = location.hash.replace(/^#\/?/, "").split("/");
  const place = PAGE.policies.findIndex((policy) => policy.policy_id === name);
  const bandPlace = place < 0 ? 0 : Math.min(Math.max(0, (Number(band) || 1) - 1), PAGE.policies[place].bands.length - 1);
  const view = place >= 0 ? policyView(place, bandPlace, await numbersOf(place)) : name === "method" ? methodView() : overview();
  if (turn !== rendering) return;
  const isSamePolicy = APP.dataset.view === `policy ${name}` && place >= 0;
  APP.dataset.view = place >= 0 ? `policy ${name}` : name === "method" ? "method" : "overview";
  APP.replaceChildren(view);
  document.title = place >= 0 ? `${PAGE.policies[place].name} · ${words("page.title")}` : words("page.title");
  const here = place >= 0 ? null : `#/${name === "method" ? "method" : ""}`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isSamePolicy) document.getElementById(`tab-${bandPlace}`)?.focus({ preventScroll: true });
  else if (turn > 1) APP.focus({ preventScroll: true });
  if (!isSamePolicy) scrollTo(0, 0);
  document.documentElement.dataset.ready = String(turn);
  requestAnimationFrame(() => performance.mark("ready"));
}

// Details are printed open, and what only paper shows is filled in.
const CLOSED = [];
addEventListener("beforeprint", () => {
  APP.firstElementChild?.dispatchEvent(new Event("printing"));
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.open = true;
    CLOSED.push(details);
  }
});
addEventListener("afterprint", () => CLOSED.splice(0).forEach((details) => (details.open = false)));
addEventListener("hashchange", render);
document.documentElement.lang = WORDS.language;
document.documentElement.dir = WORDS.direction;
showBefore();
render();
