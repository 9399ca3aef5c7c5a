// All words of the page come from one file, words.en.json; its keys are what the code asks for.
const WORDS = JSON.parse(document.getElementById("words").textContent);
const PLURAL = new Intl.PluralRules(WORDS.language);

// The words under a key, with {names} filled in. A key that holds several forms is chosen by the number `n`.
function words(key, values = {}) {
  let text = WORDS[key];
  if (text === undefined) throw new Error(`words: no ${key}`);
  if (typeof text === "object") text = text[PLURAL.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    if (values[name] === undefined) throw new Error(`words: ${key} needs ${name}`);
    return name === "n" ? whole(values.n) : values[name];
  });
}

// Words that others wrote, inside a sentence of ours: their direction ends with them.
function isolated(text) {
  return `\u2068${text}\u2069`;
}
