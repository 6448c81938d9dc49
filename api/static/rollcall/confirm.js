"use strict";
// The token stands behind the "#": it never leaves the browser until the button is pressed.
const button = document.getElementById("confirm");
const message = document.getElementById("message");
const token = location.hash.slice(1);
const words = {
  code_expired: "This link is out of date. Ask for a new e-mail in the app.",
  code_invalid: "This link does not confirm anything. Was it copied whole?",
  validation_failed: "This link does not confirm anything. Was it copied whole?",
};

function say(text, again) {
  message.textContent = text;
  button.hidden = !again;
  button.disabled = false;
}

if (!token) {
  say("This link is not complete. Open it from the e-mail once more.", false);
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
      credentials: "omit",
      signal: AbortSignal.timeout(10000),
    });
    if (answer.ok) {
      say("Thank you: your e-mail address is confirmed. You may close this page.", false);
    } else {
      const { code } = await answer.json();
      say(words[code] ?? "That did not work. Please try again in a moment.", !(code in words));
    }
  } catch {
    say("We could not be reached. Please try again in a moment.", true);
  }
});
