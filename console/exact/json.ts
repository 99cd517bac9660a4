/** A JSON number as its digits say it: a number where that is exact, else its text. */
export type Exact = number | string

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/**
 * Read JSON without losing a digit. Whole numbers that a double holds exactly are numbers, as
 * counts and ids are; every other number is its text, so that no amount goes through a float.
 */
export function readJson(text: string): unknown {
  return JSON.parse(
    text.replace(TOKEN, (token) => {
      if (token.startsWith('"')) return token
      const whole = /^-?\d+$/.test(token) && Number.isSafeInteger(Number(token))
      return whole ? token : `"${token}"`
    }),
  )
}
