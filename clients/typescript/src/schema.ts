// Generated from the OpenAPI document by `make clients`: do not edit.

export interface paths {
    "/api/v1/confirmations/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get the confirmation status
         * @description The confirmation status of each channel.
         */
        get: operations["getConfirmationStatus"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/confirmations/email/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Confirm the e-mail address
         * @description Confirms the e-mail address, by code or by link.
         */
        post: operations["confirmEmail"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/confirmations/email/resend/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Resend the confirmation e-mail
         * @description Sends another e-mail; its code and link supersede the old ones.
         */
        post: operations["resendEmailConfirmation"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/confirmations/phone/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Confirm the phone number
         * @description Confirms the phone number, by code.
         */
        post: operations["confirmPhone"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/confirmations/phone/resend/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Resend the confirmation text message
         * @description Sends another text message; its code supersedes the old one.
         */
        post: operations["resendPhoneConfirmation"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/introspect/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Introspect tokens
         * @description Served by the read process: a backend sends its own key, and a form with one token, or
         *     JSON with up to 1,000.
         */
        post: operations["introspectToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/profile/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get the caller's profile
         * @description Served by the read process.
         */
        get: operations["getProfile"];
        put?: never;
        post?: never;
        /**
         * Delete the caller's account
         * @description The caller's profile.
         */
        delete: operations["deleteProfile"];
        options?: never;
        head?: never;
        /**
         * Update the caller's profile
         * @description The caller's profile.
         */
        patch: operations["updateProfile"];
        trace?: never;
    };
    "/api/v1/profile/export/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Export all data about the caller
         * @description All data that is kept about the caller.
         */
        get: operations["exportProfile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the caller's sessions
         * @description Requests a sign-in code; lists or revokes all sessions of the caller.
         */
        get: operations["listSessions"];
        put?: never;
        /**
         * Request a sign-in code
         * @description Requests a sign-in code; lists or revokes all sessions of the caller.
         */
        post: operations["requestSignInCode"];
        /**
         * Revoke all sessions of the caller
         * @description Requests a sign-in code; lists or revokes all sessions of the caller.
         */
        delete: operations["revokeAllSessions"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/confirm/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Sign in with a code
         * @description Creates a session by a code.
         */
        post: operations["signIn"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/current/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke the current session
         * @description The session of the token that is sent.
         */
        delete: operations["revokeCurrentSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/current/refresh/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Replace the session's token by one with a new lifetime
         * @description The old token is accepted for 30 seconds more. Repeating the request with it within that
         *     time returns the same new token.
         */
        post: operations["refreshSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{session_id}/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke a session
         * @description A session of the caller, by its id.
         */
        delete: operations["revokeSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/signup/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Sign up
         * @description Creates a person and their first session.
         */
        post: operations["signUp"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description The code from the e-mail (with a Bearer token), or the token from its link (without). */
        ConfirmEmailRequest: {
            /** @description Six digits, or ten characters in any case; spaces and hyphens are ignored. */
            code?: string;
            token?: string;
        };
        /** @description The code from a message. */
        ConfirmPhoneRequest: {
            /** @description Six digits, or ten characters in any case; spaces and hyphens are ignored. */
            code: string;
        };
        /** @description The confirmation status of one channel. */
        ConfirmationStatus: {
            /** @enum {string} */
            status: "queued" | "sent" | "delivered" | "failed" | "confirmed";
            /** Format: date-time */
            resend_available_at: string | null;
            attempts_left: number;
            /** @description The masked address that replaces the confirmed one once it is confirmed. */
            pending: string | null;
        };
        ConfirmationStatuses: {
            email: components["schemas"]["ConfirmationStatus"];
            phone: components["schemas"]["ConfirmationStatus"];
        };
        EmailConfirmed: {
            email_verified: boolean;
        };
        /** @enum {string} */
        ErrorCode: "bad_request" | "body_too_large" | "code_expired" | "code_invalid" | "forbidden" | "idempotency_closed" | "idempotency_in_progress" | "idempotency_mismatch" | "internal_error" | "invalid_signature" | "invalid_token" | "malformed_json" | "method_not_allowed" | "not_found" | "origin_not_allowed" | "precondition_failed" | "rate_limited" | "request_timeout" | "too_many_attempts" | "unavailable" | "unsupported_media_type" | "validation_failed";
        /** @description All data that is kept about a person. */
        Export: {
            /** Format: uuid */
            id: string;
            profile: components["schemas"]["Profile"];
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            email_verified_at: string | null;
            /** Format: date-time */
            phone_verified_at: string | null;
            /** @description Null: the default language. */
            locale: string | null;
            sessions: components["schemas"]["ExportedRow"][];
            confirmations: components["schemas"]["ExportedRow"][];
            sign_ins: components["schemas"]["ExportedRow"][];
            known_networks: components["schemas"]["ExportedRow"][];
            idempotency_keys: components["schemas"]["ExportedRow"][];
            events: components["schemas"]["ExportedRow"][];
            messages: components["schemas"]["ExportedRow"][];
        };
        /** @description A row of an export; which fields it has depends on its list. */
        ExportedRow: {
            /** Format: uuid */
            id?: string;
            channel?: string;
            address?: string;
            kind?: string;
            attempts?: number;
            /** Format: date-time */
            created_at?: string;
            /** Format: date-time */
            expires_at?: string;
            user_agent?: string;
            network?: string;
            /** Format: date-time */
            confirmed_at?: string | null;
            /** Format: date-time */
            last_used_at?: string;
        };
        FieldError: {
            field: string;
            code: string;
            message: string;
        };
        Introspection: components["schemas"]["TokenState"] | components["schemas"]["TokenResults"];
        /** @description One token (RFC 7662 section 2.1). */
        IntrospectionFormRequest: {
            token: string;
            /** @description It is ignored. */
            token_type_hint?: string;
            /** @enum {string} */
            claims?: "profile";
        };
        /** @description Many tokens, each once. */
        IntrospectionListRequest: {
            tokens: string[];
            /** @description Whether to return profiles. */
            claims?: boolean;
        };
        /** @description An active session. */
        ListedSession: {
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string;
            /** @description Browser and system, such as "Firefox on Linux"; empty if unknown. */
            user_agent: string;
            /** @description The IPv4 /24 or IPv6 /48 of the sign-in or last refresh; empty if unknown. */
            network: string;
            /** @description Whether it is that of the token sent. */
            current: boolean;
        };
        PhoneConfirmed: {
            phone_verified: boolean;
        };
        ProblemDetails: {
            type: string;
            title: string;
            detail: string;
            request_id: string;
            status: number;
            code: components["schemas"]["ErrorCode"];
            errors?: components["schemas"]["FieldError"][];
        };
        /** @description A profile. */
        Profile: {
            name: string;
            surname: string;
            email: string;
            phone: string;
            hobbies: string[];
            email_verified: boolean;
            phone_verified: boolean;
        };
        /** @description When the next message may be requested; null if no confirmation is pending. */
        ResendResponse: {
            /** Format: date-time */
            resend_available_at: string | null;
        };
        /** @description A new session. */
        Session: {
            /** @description Absent if it is set as a cookie. */
            token?: string;
            /** @enum {string} */
            token_type: "Bearer" | "Cookie";
            /** Format: date-time */
            expires_at: string;
        };
        SessionList: {
            sessions: components["schemas"]["ListedSession"][];
        };
        SessionResponse: {
            session: components["schemas"]["Session"];
        };
        /** @description A sign-in challenge, the same for known and unknown addresses. */
        SignInChallenge: {
            /** @description To be sent back with the code. */
            challenge: string;
            /**
             * Format: date-time
             * @description Until then its code can be entered.
             */
            expires_at: string;
            /**
             * Format: date-time
             * @description When another challenge for this address gets a message from this network.
             */
            resend_available_at: string;
        };
        /** @description A confirmed address to sign in with: either the e-mail address or the phone number. */
        SignInCodeRequest: {
            /** Format: email */
            email?: string;
            /** @description With + and country code; kept as E.164. */
            phone?: string;
        };
        /** @description The challenge, and the code that was sent to its address. */
        SignInRequest: {
            challenge: string;
            /** @description Six digits, or ten characters in any case; spaces and hyphens are ignored. */
            code: string;
            /**
             * @description Whether the response sets the session's token as a cookie, and does not show it.
             * @default false
             */
            session_cookie?: boolean;
        };
        /** @description A new person. */
        SignUpRequest: {
            name: string;
            surname: string;
            /** Format: email */
            email: string;
            /** @description With + and country code; kept as E.164. */
            phone: string;
            /** @default [] */
            hobbies?: string[] | string;
            /** @description A BCP 47 language tag, for messages and not part of the profile; supported are en, es, de, fr, pt, it, ar, and tags that begin with one of them (`de-AT`). */
            locale?: string;
            /**
             * @description Whether the response sets the session's token as a cookie, and does not show it.
             * @default false
             */
            session_cookie?: boolean;
        };
        /** @description A new person and their first session. */
        SignUpResponse: {
            /** Format: uuid */
            id: string;
            profile: components["schemas"]["Profile"];
            session: components["schemas"]["Session"];
        };
        /** @description The state of one of many tokens, or `error`: it is to be asked for again. */
        TokenResult: {
            active?: boolean;
            /**
             * Format: uuid
             * @description The person's id.
             */
            sub?: string;
            /** @description Unix time at which it expires. */
            exp?: number;
            /** @enum {string} */
            token_type?: "Bearer";
            claims?: components["schemas"]["Profile"];
            /** @enum {string} */
            error?: "unavailable";
        };
        /** @description The states of many tokens, in their order. */
        TokenResults: {
            results: components["schemas"]["TokenResult"][];
        };
        /** @description The state of a token (RFC 7662 section 2.2). */
        TokenState: {
            active: boolean;
            /**
             * Format: uuid
             * @description The person's id.
             */
            sub?: string;
            /** @description Unix time at which it expires. */
            exp?: number;
            /** @enum {string} */
            token_type?: "Bearer";
            claims?: components["schemas"]["Profile"];
        };
        /** @description The fields to change; those left out stay. */
        UpdateProfileRequest: {
            name?: string;
            surname?: string;
            /** Format: email */
            email?: string;
            /** @description With + and country code; kept as E.164. */
            phone?: string;
            hobbies?: string[] | string;
            /** @description A BCP 47 language tag, for messages and not part of the profile; supported are en, es, de, fr, pt, it, ar, and tags that begin with one of them (`de-AT`). */
            locale?: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type ConfirmEmailRequest = components['schemas']['ConfirmEmailRequest'];
export type ConfirmPhoneRequest = components['schemas']['ConfirmPhoneRequest'];
export type ConfirmationStatus = components['schemas']['ConfirmationStatus'];
export type ConfirmationStatuses = components['schemas']['ConfirmationStatuses'];
export type EmailConfirmed = components['schemas']['EmailConfirmed'];
export type ErrorCode = components['schemas']['ErrorCode'];
export type Export = components['schemas']['Export'];
export type ExportedRow = components['schemas']['ExportedRow'];
export type FieldError = components['schemas']['FieldError'];
export type Introspection = components['schemas']['Introspection'];
export type IntrospectionFormRequest = components['schemas']['IntrospectionFormRequest'];
export type IntrospectionListRequest = components['schemas']['IntrospectionListRequest'];
export type ListedSession = components['schemas']['ListedSession'];
export type PhoneConfirmed = components['schemas']['PhoneConfirmed'];
export type ProblemDetails = components['schemas']['ProblemDetails'];
export type Profile = components['schemas']['Profile'];
export type ResendResponse = components['schemas']['ResendResponse'];
export type Session = components['schemas']['Session'];
export type SessionList = components['schemas']['SessionList'];
export type SessionResponse = components['schemas']['SessionResponse'];
export type SignInChallenge = components['schemas']['SignInChallenge'];
export type SignInCodeRequest = components['schemas']['SignInCodeRequest'];
export type SignInRequest = components['schemas']['SignInRequest'];
export type SignUpRequest = components['schemas']['SignUpRequest'];
export type SignUpResponse = components['schemas']['SignUpResponse'];
export type TokenResult = components['schemas']['TokenResult'];
export type TokenResults = components['schemas']['TokenResults'];
export type TokenState = components['schemas']['TokenState'];
export type UpdateProfileRequest = components['schemas']['UpdateProfileRequest'];
export type $defs = Record<string, never>;
export interface operations {
    getConfirmationStatus: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConfirmationStatuses"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    confirmEmail: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConfirmEmailRequest"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EmailConfirmed"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    resendEmailConfirmation: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Accepted */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResendResponse"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    confirmPhone: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConfirmPhoneRequest"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PhoneConfirmed"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    resendPhoneConfirmation: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Accepted */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResendResponse"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    introspectToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/x-www-form-urlencoded": components["schemas"]["IntrospectionFormRequest"];
                "application/json": components["schemas"]["IntrospectionListRequest"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Introspection"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    getProfile: {
        parameters: {
            query?: never;
            header?: {
                /** @description ETags that the client has, or `*`; 412 if none is the current one. */
                "If-Match"?: string;
                /** @description ETags that the client has; 304 if one is the current one. */
                "If-None-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Profile"];
                };
            };
            /** @description Not Modified */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    deleteProfile: {
        parameters: {
            query?: never;
            header?: {
                /** @description ETags that the client has, or `*`; 412 if none is the current one. */
                "If-Match"?: string;
                /** @description ETags, or `*`; 412 if one is the current one. */
                "If-None-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    updateProfile: {
        parameters: {
            query?: never;
            header?: {
                /** @description ETags that the client has, or `*`; 412 if none is the current one. */
                "If-Match"?: string;
                /** @description ETags, or `*`; 412 if one is the current one. */
                "If-None-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpdateProfileRequest"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Profile"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    exportProfile: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Export"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    listSessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionList"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    requestSignInCode: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignInCodeRequest"];
            };
        };
        responses: {
            /** @description Accepted */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignInChallenge"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    revokeAllSessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    signIn: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignInRequest"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionResponse"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    revokeCurrentSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    refreshSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionResponse"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    revokeSession: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                session_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    signUp: {
        parameters: {
            query?: never;
            header?: {
                /** @description The language of messages, unless `locale` is sent. */
                "Accept-Language"?: string;
                /** @description Repeating the key and body within 10 minutes returns the same person. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignUpRequest"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignUpResponse"];
                };
            };
            /** @description A problem. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
}
