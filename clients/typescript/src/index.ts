export { Backend, type BackendOptions } from "./backend.js";
export { Rollcall, type RollcallOptions } from "./client.js";
export { NoResponse, RollcallError, UnexpectedResponse } from "./errors.js";
export * from "./problems.js";
export type { Retry } from "./retry.js";
export type {
  ConfirmationStatus, ConfirmationStatuses, ErrorCode, Export, FieldError, ListedSession, Profile,
  ResendResponse, Session, SignInChallenge, SignInCodeRequest, SignUpRequest, SignUpResponse,
  TokenResult,
  TokenState, UpdateProfileRequest,
} from "./schema.js";
