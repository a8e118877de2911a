// ISO 8601 dates as spans of time, compared as bedside/filters/dates.py says. What has no zone is in UTC.

/** @typedef {[bigint, bigint]} Span Where a date begins and where it has ended, in microseconds from 0001-01-01. */

const ISO = new RegExp(
  "^([0-9]{4})-([0-9]{2})-([0-9]{2})" +
    "(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?" +
    "(?:([Zz])|([+-])([0-9]{2})(?::?([0-5][0-9])(?::?([0-5][0-9]))?)?)?)?$",
);
const LIKE_A_DATE = /^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9].*)?|[0-9]{4}-?[Ww][0-9]{2}(?:-?[0-9].*)?)$/s;
const MONTH_OR_YEAR = /^([0-9]{4})(?:-([0-9]{2}))?$/;
const DAYS_BEFORE_1970 = 719_162;
const LAST_DAY = 3_652_059; // 9999-12-31, counted from 1 as 0001-01-01
const DAY = 86_400_000_000n;
/** The last microsecond of the calendar. */
export const LAST_MOMENT = BigInt(LAST_DAY) * DAY - 1n;

/**
 * The span of a text that is a day or a time of day; null for every other text.
 * @param {string} text
 * @returns {Span | null}
 */
export function readDate(text) {
  const found = ISO.exec(text);
  if (!found) return null;
  const [, year, month, day, hour, minute, second = "0", fraction = "0", , sign, ...offset] = found;
  let ordinal = ordinalOf(Number(year), Number(month), Number(day));
  if (ordinal === null) return null;
  if (hour === undefined) return [midnight(ordinal), midnight(ordinal + 1)];
  const micro = Number(`${fraction}000000`.slice(0, 6));
  let [hours, minutes, seconds] = [hour, minute, second].map(Number);
  if (hours === 24 && !minutes && !seconds && !micro) {
    ordinal += 1;
    hours = 0;
  }
  if (ordinal > LAST_DAY || hours > 23 || minutes > 59 || seconds > 59) return null;
  const [zoneHours, zoneMinutes, zoneSeconds] = offset.map((part) => Number(part ?? 0));
  if (zoneHours > 23) return null;
  const zone = (zoneHours * 60 + zoneMinutes) * 60 + zoneSeconds;
  const clock = (hours * 60 + minutes) * 60 + seconds - (sign === "-" ? -zone : zone);
  const start = midnight(ordinal) + BigInt(clock) * 1_000_000n + BigInt(micro);
  return [start, start + 1n];
}

/**
 * Whether a text is written as a date or time is, or as a week date, be it one or not.
 * @param {string} text
 */
export const likeADate = (text) => LIKE_A_DATE.test(text);

/**
 * The span of a stored text: a day, a time of day, a month or a year; null where it is not a date.
 * @param {string} text
 * @returns {Span | null}
 */
export function storedSpan(text) {
  if (text.length > "2024-05".length) return readDate(text);
  const found = MONTH_OR_YEAR.exec(text);
  if (!found) return null;
  const year = Number(found[1]);
  const [first, last] = found[2] ? [Number(found[2]), Number(found[2])] : [1, 12];
  const start = ordinalOf(year, first, 1);
  const end = ordinalOf(year, last, daysIn(year, last));
  return start === null || end === null ? null : [midnight(start), midnight(end + 1)];
}

/**
 * When a stored value begins; null where it is not a date.
 * @param {unknown} value
 */
export const beginsOf = (value) => (typeof value === "string" ? (storedSpan(value)?.[0] ?? null) : null);

/**
 * A Date as spans count.
 * @param {Date} date
 */
export const momentOf = (date) => BigInt(DAYS_BEFORE_1970) * DAY + BigInt(date.getTime()) * 1000n;

/** @param {number} ordinal */
const midnight = (ordinal) => BigInt(ordinal - 1) * DAY;

/**
 * Days from 0001-01-01, which is 1; null where the calendar has no such day.
 * @type {(year: number, month: number, day: number) => number | null}
 */
function ordinalOf(year, month, day) {
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  return new Date(0).setUTCFullYear(year, month - 1, day) / 86_400_000 + DAYS_BEFORE_1970 + 1;
}

/** @type {(year: number, month: number) => number} */
const daysIn = (year, month) => new Date(new Date(0).setUTCFullYear(year, month, 0)).getUTCDate();
