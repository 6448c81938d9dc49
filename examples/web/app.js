// The page: sign-up, confirmation, profile, sessions. ?api=https://… names the service.

import { Client, Problem } from "./api.js";

const url = new URLSearchParams(location.search).get("api") ?? "http://127.0.0.1:8000";
const client = new Client(url.replace(/\/$/, ""));
const byId = (id) => document.getElementById(id);
let challenge = null;

/** Runs the handler of a form or button: once at a time, and shows its errors beside the fields. */
function run(element, handler) {
  const form = element.closest("form");
  element.addEventListener(element === form ? "submit" : "click", async (event) => {
    event.preventDefault();
    const buttons = [...(form ?? document).querySelectorAll("button")];
    buttons.forEach((button) => (button.disabled = true));
    clearErrors(form);
    showMessage("");
    try {
      await handler(form && readFields(form));
    } catch (error) {
      await showError(error, form);
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  });
}

function readFields(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
}

function clearErrors(form) {
  form?.querySelectorAll(".error").forEach((error) => error.remove());
  form?.querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
}

async function showError(error, form) {
  if (!(error instanceof Problem)) {
    showMessage(`The service cannot be reached: ${error.message}`);
  } else if (error.code === "invalid_token") {
    client.forget();
    await render();
    showMessage("Your session has ended.");
  } else if (error.code === "precondition_failed") {
    await render();
    showMessage("Your profile was changed elsewhere; look at it, and save again.");
  } else {
    const others = (error.errors ?? []).filter(({ field, message }) => !showFieldError(form, field, message));
    const hint = error.errors ? "Please correct the marked fields." : error.message;
    showMessage(others.map(({ message }) => message).join(" ") || hint);
  }
}

/** Shows an error beside its field; returns whether the form has that field. */
function showFieldError(form, field, message) {
  const input = form?.elements[field.split(/[.[]/)[0]];
  if (!input) return false;
  input.setAttribute("aria-invalid", "true");
  const note = document.createElement("span");
  note.className = "error";
  note.textContent = message;
  input.after(note);
  return true;
}

function showMessage(text) {
  byId("message").textContent = text;
}

// --- What is shown ---

async function render() {
  const isSignedIn = client.isSignedIn;
  if (isSignedIn) {
    await client.refreshIfDue();
    const [profile, sessions] = await Promise.all([client.getProfile(), client.listSessions()]);
    renderProfile(profile);
    renderConfirmations(profile);
    renderSessions(sessions);
  }
  byId("signed-in").hidden = byId("sign-out").hidden = !isSignedIn;
  byId("signed-out").hidden = isSignedIn;
}

function renderProfile(profile) {
  const fields = byId("profile").elements;
  for (const name of ["name", "surname", "email", "phone"]) fields[name].value = profile[name];
  fields.hobbies.value = profile.hobbies.join("\n");
}

function renderConfirmations(profile) {
  const channels = ["email", "phone"].filter((channel) => !profile[`${channel}_verified`]);
  byId("confirmations").replaceChildren(...channels.map((channel) => makeConfirmation(channel, profile)));
  if (!channels.length) byId("confirmations").textContent = "Both are confirmed.";
}

function makeConfirmation(channel, profile) {
  const form = byId("confirmation").content.cloneNode(true).querySelector("form");
  form.dataset.channel = channel;
  form.querySelector("span").textContent = `Code sent to ${profile[channel]}`;
  run(form, async ({ code }) => {
    await client.confirm(channel, code);
    await render();
    showMessage("Confirmed.");
  });
  run(form.querySelector(".secondary"), async () => {
    await client.resend(channel);
    showMessage("A new code is on its way; the one before is of no use now.");
  });
  return form;
}

function renderSessions(sessions) {
  byId("sessions").replaceChildren(...sessions.map(makeSession));
}

function makeSession({ id, created_at, user_agent, network, current }) {
  const item = document.createElement("li");
  const text = document.createElement("span");
  const where = [user_agent, network && `from ${network}`].filter(Boolean).join(" ");
  const since = `since ${new Date(created_at).toLocaleString()}`;
  text.textContent = [where, since, current && "this one"].filter(Boolean).join(", ");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "secondary";
  button.textContent = current ? "Refresh" : "End";
  run(button, current ? refreshSession : () => endSession(id));
  item.append(text, button);
  return item;
}

async function refreshSession() {
  const end = new Date(await client.refresh());
  await render();
  showMessage(`This session lasts until ${end.toLocaleDateString()}.`);
}

async function endSession(id) {
  await client.revokeSession(id);
  await render();
  showMessage("That session has ended.");
}

// --- What people do ---

run(byId("sign-up"), async (fields) => {
  await client.signUp(fields, byId("in-cookie").checked);
  await render();
  showMessage("Welcome. Two messages with codes are on their way.");
});

run(byId("request-code"), async ({ email }) => {
  challenge = await client.requestSignInCode(email);
  byId("sign-in").hidden = false;
  byId("sign-in").elements.code.focus();
  showMessage("If that address is confirmed, a code is on its way to it.");
});

run(byId("sign-in"), async ({ code }) => {
  await client.signIn(challenge, code, byId("in-cookie").checked);
  byId("sign-in").hidden = true;
  await render();
});

run(byId("profile"), async (fields) => {
  const profile = await client.updateProfile(fields);
  renderProfile(profile);
  renderConfirmations(profile);
  const { email, phone } = await client.getConfirmations();
  const pending = [email.pending, phone.pending].filter(Boolean);
  showMessage(pending.length ? `Saved. Confirm ${pending.join(" and ")} before it replaces the old one.` : "Saved.");
});

run(byId("export"), async () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(await client.exportData(), null, 2)]));
  link.download = "rollcall-export.json";
  link.click();
  URL.revokeObjectURL(link.href);
});

run(byId("delete"), async () => {
  if (!confirm("Delete your account and all your data?")) return;
  await client.deleteAccount();
  await render();
  showMessage("Your account is deleted.");
});

run(byId("sign-out"), async () => {
  await client.signOut();
  await render();
});

render().catch((error) => showError(error));
