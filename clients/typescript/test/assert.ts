import type { RollcallError } from "../src/index.js";

export function assert(condition: unknown, message = "not as expected"): asserts condition {
  if (!condition) throw new Error(message);
}

export function assertEqual(actual: unknown, expected: unknown) {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  assert(left === right, `${left} instead of ${right}`);
}

/** Returns the error of a call. Throws if it has none, or another one. */
export async function rejected<T extends RollcallError>(
  call: Promise<unknown>, errorClass: new (...args: any[]) => T,
): Promise<T> {
  const error = await call.then(() => undefined, (reason: unknown) => reason);
  assert(error instanceof errorClass, `${error} instead of ${errorClass.name}`);
  return error;
}
