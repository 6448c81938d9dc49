// A session in a cookie, with a `fetch` that keeps cookies and sends an Origin, as browsers do.
//
//     node cookie.js URL NUMBER
import { InvalidToken, OriginNotAllowed, Rollcall } from "../src/index.js";
import { assert, assertEqual, rejected } from "./assert.js";

declare const process: { argv: string[] };
const [url, number] = process.argv.slice(2) as [string, string];
const cookies = new Map<string, string>();
let origin = url;

const browserFetch: typeof fetch = async (input, init) => {
  assertEqual(init?.credentials, "include");
  const request = new Request(input, init);
  assert(!request.headers.has("Authorization"));
  request.headers.set("Origin", origin);
  request.headers.set("Cookie", [...cookies].map((pair) => pair.join("=")).join("; "));
  const response = await fetch(request);
  for (const cookie of response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]*)=([^;]*)/.exec(cookie)!;
    if (value === "" || /max-age=0/i.test(cookie)) cookies.delete(name!);
    else cookies.set(name!, value!);
  }
  return response;
};

const client = new Rollcall(url, { sessionCookie: true, fetch: browserFetch });
const address = { email: `cookie${number}@example.com`, phone: `+34612${number}` };
const { session } = await client.signUp({ name: "Ada", surname: "Lovelace", ...address });
assertEqual([session.token_type, session.token], ["Cookie", undefined]);
assertEqual([...cookies.keys()], ["__Host-session"]);

const reopened = new Rollcall(url, { sessionCookie: true, fetch: browserFetch });
assertEqual((await reopened.getProfile()).name, "Ada");
const [before] = cookies.values();
assertEqual((await reopened.refreshSession()).token_type, "Cookie");
assert([...cookies.values()][0] !== before);

origin = "https://other.example";
await rejected(reopened.updateProfile({ name: "Mallory" }), OriginNotAllowed);
origin = url;
await reopened.updateProfile({ name: "Augusta" });
await reopened.revokeCurrentSession();
assertEqual(cookies.size, 0);
await rejected(reopened.getProfile(), InvalidToken);
console.log("done");
