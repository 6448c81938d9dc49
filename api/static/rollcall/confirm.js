"use strict";
// The page has a <template> for each state; this script selects the one to show. Opening the page
// inspects the link and changes nothing: only the button confirms.
const main = document.querySelector("main");
const heading = main.querySelector("h1");
const message = document.getElementById("message");
const button = main.querySelector("button");
const footer = document.querySelector("footer");
const service = document.querySelector("header").textContent;
const token = location.hash.slice(1);
const INVALID_CODES = new Set(["code_invalid", "validation_failed"]);
const TIMEOUT = 10000; // milliseconds for a response and its body

let name = ""; // of the person who signed up
let onClick = inspectLink; // of the button

// Posts the token. Returns the document of a 2xx, else the state to show and Retry-After in seconds.
async function postToken(url) {
  const controller = new AbortController(); // Safari 15 has no AbortSignal.timeout
  const timer = setTimeout(() => controller.abort(), TIMEOUT);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
      credentials: "omit",
      signal: controller.signal,
    });
    const document = await response.json().catch(() => ({})); // a proxy's own page
    if (response.ok) return { document };
    if (INVALID_CODES.has(document.code)) return { state: "invalid" };
    if (document.code === "code_expired") return { state: "expired" };
    const retryAfter = Number(response.headers.get("Retry-After"));
    return { state: response.status === 429 ? "rate_limited" : "unavailable", retryAfter };
  } catch {
    return { state: "offline" };
  } finally {
    clearTimeout(timer);
  }
}

async function inspectLink() {
  const { document: link, state, retryAfter } = await postToken(main.dataset.inspectUrl);
  if (link) {
    name = link.name;
    onClick = confirm;
  }
  show(link ? link.state : state, retryAfter);
}

async function confirm() {
  const { document: result, state, retryAfter } = await postToken(main.dataset.confirmUrl);
  if (result) footer.classList.add("invisible");
  show(result ? "success" : state, retryAfter);
}

function show(state, retryAfter) {
  const template = document.getElementById(state);
  const content = template.content.cloneNode(true);
  for (const place of content.querySelectorAll("bdi")) place.textContent = name;
  for (const place of content.querySelectorAll(".wait")) {
    place.textContent = formatDuration(retryAfter);
  }
  const { title, button: label } = template.dataset;
  const hadFocus = document.activeElement === button;
  main.dataset.state = state;
  heading.textContent = title;
  document.title = `${title} · ${service}`;
  message.textContent = "";
  message.append(content);
  // Not `display: none`: the layout must not shift.
  button.classList.toggle("invisible", !label);
  if (label) button.textContent = label;
  if (hadFocus && !label) heading.focus();
}

// In the language of the page.
function formatDuration(seconds) {
  const [count, unit] = seconds < 100 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  const options = { style: "unit", unit: seconds ? unit : "minute", unitDisplay: "long" };
  return new Intl.NumberFormat(document.documentElement.lang, options).format(count || 1);
}

button.addEventListener("click", async () => {
  if (button.getAttribute("aria-disabled") === "true") return;
  // Not `disabled`: a disabled button loses the focus.
  button.setAttribute("aria-disabled", "true");
  await onClick();
  button.setAttribute("aria-disabled", "false");
});
// Another link was opened in the same page.
addEventListener("hashchange", () => location.reload());

if (token) {
  show("loading");
  inspectLink();
} else {
  show("invalid");
}
