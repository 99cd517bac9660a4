import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { CURRENCIES, exponentOf } from '../src/domain/currency.ts'

const { resolve } = createRequire(import.meta.url)

/**
 * The list of ISO's maintenance agency as the package `currency-codes` carries it, which is of 25
 * June 2024. Its JavaScript says 0 for the codes that have no minor unit, so the list itself is
 * read.
 */
const LIST = readFileSync(join(dirname(resolve('currency-codes')), 'iso-4217-list-one.xml'), 'utf8')

/** Codes and minor units of the list; null: the code has none. */
function published(): Map<string, number | null> {
  const entries = LIST.matchAll(
    /<Ccy>(\w{3})<\/Ccy>\s*<CcyNbr>\d+<\/CcyNbr>\s*<CcyMnrUnts>([\w.]+)</g,
  )
  return new Map(
    [...entries].map(([, code = '', units]) => [code, units === 'N.A.' ? null : Number(units)]),
  )
}

/** What changed between that edition and ours, by the amendments of the maintenance agency. */
const AMENDED: Readonly<Record<string, readonly [exponent: number | undefined, source: string]>> = {
  ANG: [undefined, 'amendment 176: replaced by XCG on 31 March 2025'],
  XCG: [2, 'amendment 176: Caribbean guilder, from 31 March 2025'],
  CUC: [undefined, 'amendment 178: withdrawn in June 2021, listed as historic in February 2025'],
  XAD: [2, 'amendment 179: Arab accounting dinar, from May 2025'],
  BGN: [undefined, 'amendment 180: replaced by EUR on 1 January 2026'],
}

test('the table is the list of ISO 4217 with a minor unit, but for the amendments named here', () => {
  const list = published()
  assert.equal(list.size, 179)
  const codes = new Set([...list.keys(), ...CURRENCIES.keys()])
  const differing = [...codes].filter((code) => exponentOf(code) !== (list.get(code) ?? undefined))
  assert.deepEqual(differing.toSorted(), Object.keys(AMENDED).toSorted())
  for (const [code, [exponent, source]] of Object.entries(AMENDED)) {
    assert.equal(exponentOf(code), exponent, source)
  }
})

test('codes without a minor unit are no currencies, and neither is anything but a code', () => {
  const none = [...published()].filter(([, units]) => units === null).map(([code]) => code)
  assert.equal(none.length, 13)
  const words = ['', 'usd', 'Usd', ' USD', 'USD ', 'US', 'USDT', '840', 'BTC', 'constructor']
  for (const word of [...none, ...words]) assert.equal(exponentOf(word), undefined, word)
})

test('each code stands once', () => {
  assert.equal(CURRENCIES.size, 165)
})
