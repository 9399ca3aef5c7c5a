// A still picture of a post. Where the policy says so it is blurred and grey for as long as nobody holds it.
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const REST = 180; // milliseconds
SETTINGS.pictures = true;
SETTINGS.lessMotion = null; // until somebody switches it: as the system has it

function showMotion() {
  document.documentElement.dataset.motion = (SETTINGS.lessMotion ?? STILL.matches) ? "less" : "full";
}
STILL.addEventListener("change", showMotion);
showMotion();

function pictureOf(policy, pictures, example) {
  if (policy.preview === "none" || !SETTINGS.pictures) return null;
  if (example.picture === null) return example.no_picture === null ? null : element("p", { class: "no-picture" }, words("picture.none"), " ", foreign(example.no_picture));
  const named = { post: isolated(example.item_id) };
  const src = `data:image/webp;base64,${pictures[example.picture]}`;
  const image = (alt) => element("img", { src, alt, draggable: "false" });
  if (policy.preview === "show") return element("div", { class: "picture" }, image(words("picture.of", named)));
  const hint = element("span", { class: "hint", "aria-hidden": "true" }, words("picture.hold"));
  const button = element("button", { type: "button", class: "picture is-veiled", "aria-label": words("picture.hold_of", named) }, image(""), hint);
  let resting = 0;
  const hold = () => button.classList.add("is-held");
  const veil = () => {
    clearTimeout(resting);
    button.classList.remove("is-held");
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (event.pointerType === "mouse") hold();
    else resting = setTimeout(hold, REST); // a finger that scrolls past sees nothing
  });
  for (const name of ["pointerup", "pointercancel", "pointerleave", "blur", "keyup"]) button.addEventListener(name, veil);
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault(); // a space would scroll
    hold();
  });
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a finger that rests
  return button;
}
