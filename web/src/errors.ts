/**
 * The numbers of refusals and close codes that the page acts upon; all others it only shows.
 *
 * Owns: their names and what a range means. Does not know: texts, which the server sends along.
 *
 * Source: `src/carets/errors.py`, where a number is permanent.
 */

export const Code = {
  MALFORMED_MESSAGE: 4400,
  MALFORMED_UPDATE: 4401,
  ILLEGAL_UPDATE: 4402,
  SPLIT_CHARACTER: 4403,
  MALFORMED_STATE_VECTOR: 4404,
  MESSAGE_TOO_LARGE: 4405,
  MALFORMED_PRESENCE: 4407,
  WORKSPACE_UNKNOWN: 4420,
  KEY_WRONG: 4421,
  LINK_REVOKED: 4422,
  LINK_EXPIRED: 4423,
  ROLE_TOO_LOW: 4424,
  FILE_UNKNOWN: 4425,
  FILE_DELETED: 4426,
  PATH_INVALID: 4427,
  PATH_TAKEN: 4428,
  FILES_TOO_MANY: 4429,
  EPOCH_CHANGED: 4430,
  CLIENT_ID_TAKEN: 4431,
  CLIENT_IDS_TOO_MANY: 4432,
  DOCUMENT_TOO_LARGE: 4433,
  FILE_NOT_OPEN: 4434,
  HOST_UNKNOWN: 4437,
  CREATE_TOKEN_WRONG: 4438,
  BODY_TOO_LARGE: 4439,
  LINK_UNKNOWN: 4442,
  TEXT_INVALID: 4443,
  LINKS_TOO_MANY: 4444,
  WORKSPACE_DELETED: 4445,
  WORKSPACE_FULL: 4448,
  FILES_OPEN_TOO_MANY: 4449,
  UNAVAILABLE: 4500,
  DRAINING: 4501,
  ROOM_FULL: 4502,
  SILENT: 4503,
  INTERNAL: 4504,
  RATE_LIMITED: 4505,
  CONNECTIONS_TOO_MANY: 4506,
  ROOMS_TOO_MANY: 4507,
} as const;

/** Whether a close code says that trying again by itself cannot help. */
export function isFinal(code: number): boolean {
  return code >= 4400 && code <= 4499;
}

/** What a person reads when a close came without a text. */
export function closeText(code: number): string {
  return CLOSE_TEXTS[code] ?? "The server closed the connection.";
}

const CLOSE_TEXTS: Readonly<Record<number, string>> = {
  [Code.WORKSPACE_UNKNOWN]: "There is no such workspace. Check the link.",
  [Code.KEY_WRONG]: "This link's key does not open this workspace. Ask for a new link.",
  [Code.LINK_REVOKED]: "This link was revoked. Ask for a new link.",
  [Code.LINK_EXPIRED]: "This link has expired. Ask for a new link.",
  [Code.WORKSPACE_DELETED]: "This workspace was deleted. An owner can restore it within 30 days.",
  [Code.MALFORMED_MESSAGE]: "The page and the server do not understand each other. Reload the page.",
  [Code.HOST_UNKNOWN]: "The server does not answer to this host name.",
};

/** What a person reads of a refusal: what it is, what to do, and when, if the server says so. */
export function refusalText(refusal: { text: string; next_step: string; retry_after_ms: number | null }): string {
  if (refusal.retry_after_ms === null) return `${refusal.text} ${refusal.next_step}`;
  return `${refusal.text} Try again in ${Math.max(1, Math.ceil(refusal.retry_after_ms / 1000))} s.`;
}

/** The peer's bytes or JSON are not of `carets.v1`. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** Something was asked for and not done; `message` is for the person. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  /** A row of the table; 0 when there was no connection. */
  readonly code: number;

  constructor(code: number, text: string) {
    super(text);
    this.code = code;
  }
}
