"use strict";
// What to say stands in the page, one <template> for each state; this finds out which is to be
// shown. Opening the page asks whose link it is and changes nothing: only the button confirms.
const main = document.querySelector("main");
const heading = main.querySelector("h1");
const message = document.getElementById("message");
const button = main.querySelector("button");
const footer = document.querySelector("footer");
const service = document.querySelector("header").textContent;
const token = location.hash.slice(1);
const WRONG = new Set(["code_invalid", "validation_failed"]);

let name = ""; // of whoever signed up
let next = look; // what the button does

// Ask the service: its document if it agrees, else the state to show, and how long to wait.
async function ask(url) {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
      credentials: "omit",
      signal: AbortSignal.timeout(10_000),
    });
    const document = await answer.json().catch(() => ({})); // a proxy's own page
    if (answer.ok) return { document };
    if (WRONG.has(document.code)) return { state: "wrong" };
    if (document.code === "code_expired") return { state: "expired" };
    const wait = Number(answer.headers.get("Retry-After"));
    return { state: answer.status === 429 ? "busy" : "away", wait };
  } catch {
    return { state: "offline" };
  }
}

async function look() {
  const { document: link, state, wait } = await ask(main.dataset.look);
  if (link) {
    name = link.name;
    next = confirm;
  }
  show(link ? link.state : state, wait);
}

async function confirm() {
  const { document: done, state, wait } = await ask(main.dataset.confirm);
  if (done) footer.classList.add("away");
  show(done ? "done" : state, wait);
}

function show(state, wait) {
  const template = document.getElementById(state);
  const words = template.content.cloneNode(true);
  for (const place of words.querySelectorAll("bdi")) place.textContent = name;
  for (const place of words.querySelectorAll(".wait")) place.textContent = duration(wait);
  const { title, button: label } = template.dataset;
  const hadFocus = document.activeElement === button;
  main.dataset.state = state;
  heading.textContent = title;
  document.title = `${title} · ${service}`;
  message.replaceChildren(words);
  // It keeps its place on the page when it goes, so that nothing jumps.
  button.classList.toggle("away", !label);
  if (label) button.textContent = label;
  if (hadFocus && !label) heading.focus();
}

function duration(seconds) {
  if (!seconds) return "a minute";
  const [count, unit] = seconds < 100 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return count === 1 ? `1 ${unit}` : `${count} ${unit}s`;
}

button.addEventListener("click", async () => {
  if (button.ariaDisabled === "true") return;
  // Not `disabled`: a button that is would lose the focus.
  button.ariaDisabled = "true";
  await next();
  button.ariaDisabled = "false";
});
// The same page with another link's token.
addEventListener("hashchange", () => location.reload());

if (token) {
  show("looking");
  look();
} else {
  show("wrong");
}
