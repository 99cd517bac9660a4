/** A run of digits as a card shows it: groups with a space, a dot or a dash in between. */
const RUN = /\d+(?:[ .\-_‐-―]{1,2}\d+)*/gu
const GROUP = /\d+/g

/** Cards have so many digits; nobody writes one in more groups. */
const DIGITS = { min: 12, max: 19 }
const GROUPS_MAX = 8

const LONG: readonly number[] = [16, 17, 18, 19]

/**
 * Prefixes of card numbers (ISO/IEC 7812) with the lengths that are issued: the first and the last
 * prefix of a range, then the lengths. Left out is what is old and in a text hardly ever a card:
 * Visa's 13 digits are those of article numbers.
 */
const ISSUED: readonly (readonly [from: number, to: number, lengths: readonly number[]])[] = [
  // Visa, Mastercard, American Express.
  [4, 4, [16, 18, 19]],
  [51, 55, [16]],
  [2221, 2720, [16]],
  [34, 34, [15]],
  [37, 37, [15]],
  // Diners Club, JCB, Mir.
  [300, 305, [14, ...LONG]],
  [3095, 3095, [14, ...LONG]],
  [36, 36, [14, ...LONG]],
  [38, 39, [14, ...LONG]],
  [3528, 3589, LONG],
  [2200, 2204, LONG],
  // Discover, UnionPay, RuPay, Elo, Hiper, Verve, Maestro.
  [50, 50, LONG],
  [56, 69, LONG],
  [81, 82, LONG],
  [5018, 5018, [12, 13, 14, 15]],
  [5020, 5020, [12, 13, 14, 15]],
  [5038, 5038, [12, 13, 14, 15]],
  [6304, 6304, [12, 13, 14, 15]],
  [6759, 6763, [12, 13, 14, 15]],
  // Troy, UzCard, Humo.
  [9792, 9792, [16]],
  [8600, 8600, [16]],
  [9860, 9860, [16]],
]

/**
 * Whether a text holds what looks like the number of a payment card: digits that begin as an
 * issuer's do, have a length that is issued, and pass the check of Luhn. Other long numbers, such
 * as those of orders and parcels, are let through.
 */
export function holdsCardNumber(text: string): boolean {
  return numbersIn(text).some((digits) => isIssued(digits) && passesLuhn(digits))
}

/**
 * Whether a token holds any number that could be a card's, whoever issued it: in one piece, or in
 * groups where the token has no letters. One with letters, such as a UUID, has groups by chance.
 */
export function couldBeCardNumber(token: string): boolean {
  const numbers = /\p{L}/u.test(token) ? (token.match(GROUP) ?? []) : numbersIn(token)
  return numbers.some((digits) => {
    const { length } = digits
    return length > DIGITS.min && length <= DIGITS.max && passesLuhn(digits)
  })
}

/** Every number that stands in a text, in one group of digits or in several that follow. */
function numbersIn(text: string): readonly string[] {
  // Wide digits and spaces are digits and spaces; what nobody sees keeps nothing apart.
  const plain = text.normalize('NFKC').replace(/\p{Cf}/gu, '')
  return [...plain.matchAll(RUN)].flatMap(([run]) => {
    const groups = run.match(GROUP) ?? []
    return groups.flatMap((_, first) => numbersFrom(groups, first))
  })
}

function numbersFrom(groups: readonly string[], first: number): string[] {
  const found: string[] = []
  let digits = ''
  for (const group of groups.slice(first, first + GROUPS_MAX)) {
    digits += group
    if (digits.length > DIGITS.max) break
    if (digits.length >= DIGITS.min) found.push(digits)
  }
  return found
}

function isIssued(digits: string): boolean {
  return ISSUED.some(([from, to, lengths]) => {
    const prefix = Number(digits.slice(0, String(from).length))
    return prefix >= from && prefix <= to && lengths.includes(digits.length)
  })
}

/** From the right, every second digit counts twice, digit by digit; the sum ends in 0. */
function passesLuhn(digits: string): boolean {
  let sum = 0
  for (let index = 0; index < digits.length; index += 1) {
    const digit = Number(digits[digits.length - 1 - index])
    const twice = digit * 2
    sum += index % 2 === 0 ? digit : twice > 9 ? twice - 9 : twice
  }
  return sum % 10 === 0
}
