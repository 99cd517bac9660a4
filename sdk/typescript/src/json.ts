import { MONEY } from './answers.ts'

/** A text with its quotes, and the number behind it where it is the name of one. */
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:\s*)?(-?\d[\d.eE+-]*)?/g

/** Read JSON, with amounts as the text that was sent: no cent is lost in a float. */
export function readJson(text: string): unknown {
  const quoted = text.replace(TOKENS, (whole, name: string, colon?: string, number?: string) => {
    const isMoney = colon !== undefined && number !== undefined && MONEY.has(name.slice(1, -1))
    return isMoney ? `${name}:"${number}"` : whole
  })
  return JSON.parse(quoted)
}

/** Write a request. Amounts are decimal strings; a float is refused before it is sent. */
export function writeJson(body: object): string {
  for (const [name, value] of Object.entries(body)) {
    if (MONEY.has(name) && value !== undefined && typeof value !== 'string') {
      throw new TypeError(`${name} is a decimal string such as "200.00", and no number`)
    }
  }
  return JSON.stringify(body)
}
