// What both clients do with a running service, step by step. tests/clients/story.py has the same
// steps; a test compares their names, which this program prints.
//
//     node story.js URL NUMBER BACKEND_KEY
import {
  Backend, CodeInvalid, InvalidToken, NoResponse, NotFound, PreconditionFailed, RateLimited, Rollcall,
  RollcallError, Unavailable, UnexpectedResponse, ValidationFailed,
  type RollcallOptions, type Session,
} from "../src/index.js";
import { assert, assertEqual, rejected } from "./assert.js";

declare const process: { argv: string[] };
const [url, number, key] = process.argv.slice(2) as [string, string, string];
const DAY = 86_400;
const PROFILE = "GET /api/v1/profile/";

const stored: (Session | undefined)[] = [];
const makeClient = (options: RollcallOptions = {}) =>
  new Rollcall(url, { onSession: (session) => void stored.push(session), ...options });
let client = makeClient();
const second = makeClient();
const address = makeAddress("ada");

function makeAddress(name: string) {
  const digits = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 100;
  return { email: `${name}${number}@example.com`, phone: `+34${600 + digits}${number}` };
}

const sleep = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1000));
const readJson = async (path: string) => (await fetch(url + path)).json();
const readLog = (): Promise<string[]> => readJson("/log");
const readStatuses = async () => (await readLog()).map((line) => line.split(" ").at(-1));
const readMessages = (to: string): Promise<{ code: string }[]> =>
  readJson(`/dev/mailbox.json?to=${encodeURIComponent(to)}`);

async function fail(...faults: string[]) {
  await fetch(`${url}/faults`, { method: "POST", body: JSON.stringify(faults) });
  await readLog();
}

/** Returns the newest code to an address, once it has more than `after` messages. */
async function readCode(to: string, after = 0): Promise<string> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const messages = await readMessages(to);
    if (messages.length > after) return messages[0]!.code;
    await sleep(0.05);
  }
  throw new Error("no message");
}

const STEPS: Record<string, () => Promise<void>> = {
  async "sign up"() {
    const person = { name: "Ada", surname: "Lovelace", hobbies: ["engines"], locale: "de-AT" };
    const signedUp = await client.signUp({ ...person, ...address });
    assertEqual(signedUp.profile.email, address.email);
    assert(!signedUp.profile.email_verified);
    assertEqual([stored, client.session], [[signedUp.session], signedUp.session]);
  },

  async "a wrong code is an error of its own"() {
    await readCode(address.email);
    const error = await rejected(client.confirmEmail("000000"), CodeInvalid);
    assertEqual([error.code, error.status, error.name], ["code_invalid", 400, "CodeInvalid"]);
    assert(error.requestId);
  },

  async "confirm both addresses"() {
    await client.confirmEmail(await readCode(address.email));
    await client.confirmPhone(await readCode(address.phone));
    const { email, phone } = await client.getConfirmationStatus();
    assertEqual([email.status, phone.status], ["confirmed", "confirmed"]);
  },

  async "the second read of the profile is from the cache"() {
    const first = await client.getProfile();
    assert(first.email_verified && first.phone_verified);
    first.hobbies.push("a change of the caller's copy");
    assertEqual(await client.getProfile(), { ...first, hobbies: ["engines"] });
    assertEqual(await readLog(), [`${PROFILE} 200`, `${PROFILE} 304`]);
  },

  async "a change of what has changed is refused"() {
    const changed = await client.updateProfile({ hobbies: ["poetry"] }, { ifUnchanged: true });
    assertEqual(changed.hobbies, ["poetry"]);
    const other = makeClient({ session: client.session });
    await other.updateProfile({ name: "Augusta" });
    await rejected(client.updateProfile({ hobbies: [] }, { ifUnchanged: true }), PreconditionFailed);
    assertEqual((await client.getProfile()).name, "Augusta");
    const last = await client.updateProfile({ surname: "King" }, { ifUnchanged: true });
    assertEqual([last.name, last.hobbies], ["Augusta", ["poetry"]]);
  },

  async "sign in by a code"() {
    for (const [each, channel] of [[client, "email"], [second, "phone"]] as const) {
      const text = address[channel];
      const before = (await readMessages(text)).length;
      const challenge = await each.requestSignInCode({ [channel]: text });
      const session = await each.signIn(challenge, await readCode(text, before));
      assertEqual([session, session], [each.session, stored.at(-1)]);
      assertEqual((await each.getProfile()).name, "Augusta");
    }
  },

  async "list the sessions"() {
    assertEqual((await second.listSessions()).map((each) => each.current), [true, false]);
  },

  async "ask whose a token is as a backend"() {
    const backend = new Backend(url, { key });
    const token = client.session!.token!;
    const state = await backend.introspect(token, { claims: true });
    assertEqual([state.active, state.claims?.name], [true, "Augusta"]);
    const states = await backend.introspectMany([token, "forged", token]);
    assertEqual(states.map((each) => each.active), [true, false, true]);
    assertEqual(states[0]?.sub, state.sub);
    const wrong = new Backend(url, { key: "wrong" });
    await rejected(wrong.introspect(token), InvalidToken);
  },

  async "callers at the same moment refresh the session once"() {
    const old = client.session;
    const ending = makeClient({ session: old, refreshBefore: 400 * DAY });
    stored.length = 0;
    const profiles = await Promise.all([1, 2, 3, 4, 5].map(() => ending.getProfile()));
    assertEqual(new Set(profiles.map((each) => each.name)).size, 1);
    const refreshes = (await readLog()).filter((line) => line.includes("refresh"));
    assertEqual(refreshes, ["POST /api/v1/sessions/current/refresh/ 200"]);
    assertEqual(stored, [ending.session]);
    assert(ending.session?.token !== old?.token);
    client = ending;
  },

  async "a refresh whose response is lost is repeated"() {
    await fail("drop");
    const session = await client.refreshSession();
    assertEqual([session, session], [client.session, stored.at(-1)]);
    assertEqual(await readStatuses(), ["drop", "200"]);
    assertEqual((await client.getProfile()).name, "Augusta");
  },

  async "a revoked session is invalid"() {
    const [other] = (await client.listSessions()).filter((each) => !each.current);
    await client.revokeSession(other!.id);
    assertEqual((await rejected(second.getProfile(), InvalidToken)).status, 401);
    const unknown = "00000000-0000-0000-0000-000000000000";
    await rejected(client.revokeSession(unknown), NotFound);
  },

  async "every wrong field is reported"() {
    const person = { name: "", surname: "King", email: "ada", phone: "1" };
    const { errors } = await rejected(second.signUp(person), ValidationFailed);
    assertEqual(errors.map((each) => each.field).sort(), ["email", "name", "phone"]);
  },

  async "without a session nothing is sent"() {
    await rejected(makeClient().getProfile(), InvalidToken);
    assertEqual(await readLog(), []);
  },

  async "an unavailable service is asked again when it says"() {
    await fail("unavailable", "drop");
    assertEqual((await client.getProfile()).name, "Augusta");
    assertEqual(await readStatuses(), ["503", "drop", "304"]);
  },

  async "a lost sign up makes one person"() {
    await fail("drop", "in progress");
    const lost = makeAddress("lost");
    await makeClient().signUp({ name: "Lost", surname: "Once", ...lost });
    assertEqual(await readStatuses(), ["drop", "409", "201"]);
  },

  async "what is not safe to repeat is not repeated"() {
    await fail("unavailable");
    const error = await rejected(client.confirmEmail("000000"), Unavailable);
    assertEqual(error.retryAfter, 1);
    await fail("drop");
    await rejected(client.updateProfile({ name: "Ada" }), NoResponse);
    assertEqual((await readLog()).length, 1);
  },

  async "repetitions are bounded"() {
    await fail("long", "drop");
    const error = await rejected(client.getProfile(), Unavailable);
    assertEqual(error.retryAfter, 3600);
    const options = { session: client.session, timeout: 0.2, retry: { attempts: 2, total: 30 } };
    await fail("hang", "hang", "unavailable");
    await rejected(makeClient(options).getProfile(), NoResponse);
    const once = { session: client.session, retry: { attempts: 1, total: 30 } };
    await rejected(makeClient(once).getProfile(), Unavailable);
  },

  async "other errors are distinguished"() {
    await fail("limited", "unknown", "page", "redirect", "malformed");
    assertEqual((await rejected(client.getProfile(), RateLimited)).retryAfter, 7);
    const unknown = await rejected(client.getProfile(), RollcallError);
    assertEqual(
      [unknown.name, unknown.code, unknown.requestId],
      ["RollcallError", "from_the_future", "request-1"],
    );
    await rejected(client.getProfile(), UnexpectedResponse);
    await rejected(client.getProfile(), UnexpectedResponse);
    await rejected(client.getProfile(), UnexpectedResponse);
  },

  async "a refresh that fails is put off"() {
    await fail("limited");
    const ending = makeClient({ session: client.session, refreshBefore: 400 * DAY });
    assertEqual((await ending.getProfile()).surname, "King");
    assertEqual((await ending.getProfile()).surname, "King");
    assertEqual(await readStatuses(), ["429", "200", "304"]);
  },

  async "export what is kept"() {
    await client.updateProfile({ locale: "es" });
    const { profile, locale } = await client.exportProfile();
    assertEqual([profile.email, locale], [address.email, "es"]);
  },

  async "a deletion whose response is lost is completed"() {
    await fail("drop");
    await client.deleteProfile();
    assertEqual(await readStatuses(), ["drop", "401"]);
    assertEqual([client.session, stored.at(-1)], [undefined, undefined]);
  },
};

for (const [name, step] of Object.entries(STEPS)) {
  await readLog();
  try {
    await step();
  } catch (error) {
    throw new Error(name, { cause: error });
  }
  console.log(name);
}
