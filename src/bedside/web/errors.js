// The errors that Bedside raises on purpose, by the names of bedside/errors.py. No message carries note text.

/** The root of the tree: catches every error that Bedside raises on purpose. */
export class BedsideError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** An argument is wrong; nothing was changed. */
export class InvalidInputError extends BedsideError {}
/** A record cannot be stored as given. */
export class InvalidDocumentError extends InvalidInputError {}
/** A vector has the wrong shape or dimension, is not finite, or is zero. */
export class InvalidVectorError extends InvalidInputError {}
/** One call holds the same id twice within one scope. */
export class DuplicateIdError extends InvalidInputError {}
/** A file to load is damaged or of a kind that is not read. */
export class UnreadableFileError extends InvalidInputError {}
/** A filter does not parse; the message carries the path to the wrong place. */
export class FilterError extends InvalidInputError {}
/** A scoped collection is used without its scope. */
export class ScopeRequired extends BedsideError {}
/** A record or scope says otherwise than the view it is used through. */
export class ScopeMismatch extends BedsideError {}
/** Text was given where only a vector can be used. */
export class EncoderRequired extends BedsideError {}
/** Another encoder or other vectors than the collection's. */
export class EncoderMismatch extends BedsideError {}
/** What the browser keeps was written by a newer release. */
export class FormatVersionError extends BedsideError {}
/** The collection was closed. */
export class CollectionClosedError extends BedsideError {}
/** The browser refused to write: its room is full, or it stopped the transaction. Nothing was kept of the call. */
export class WriteFailedError extends BedsideError {}
/** This browser, or this window, keeps nothing: a private window, or storage switched off. */
export class StorageUnavailableError extends BedsideError {}

/**
 * Show a value in a message.
 * @param {unknown} value
 * @returns {string}
 */
export const shown = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));
