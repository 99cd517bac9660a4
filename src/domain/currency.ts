/** How many decimals an amount of a currency has: ISO 4217 knows these and no others. */
export type Exponent = 0 | 2 | 3 | 4

/**
 * The currencies of ISO 4217, list one as published on 1 January 2026 (amendment 180), by their
 * exponents. Left out are the codes without a minor unit, in which nothing can be paid: metals,
 * units of account, and the codes for tests and for no currency. They all begin with X.
 *
 * Our own table, because what a runtime knows of currencies is made for showing prices: it leaves
 * out decimals that exist and are not shown, and differs between versions.
 */
const CODES: Readonly<Record<Exponent, string>> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF',
  2:
    'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD ' +
    'CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS ' +
    'GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD ' +
    'LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB ' +
    'PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP ' +
    'SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ' +
    'ZWG',
  3: 'BHD IQD JOD KWD LYD OMR TND',
  4: 'CLF UYW',
}

/** Every exponent there is. */
export const EXPONENTS: readonly Exponent[] = [0, 2, 3, 4]

/** Every currency in which an account can be, with its exponent. */
export const CURRENCIES: ReadonlyMap<string, Exponent> = new Map(
  EXPONENTS.flatMap((exponent) =>
    CODES[exponent].split(' ').map((code) => [code, exponent] as const),
  ),
)

/** The exponent of a currency by its code in capitals; undefined: it is no currency. */
export function exponentOf(code: string): Exponent | undefined {
  return CURRENCIES.get(code)
}

/** The exponent of what is kept in a currency; null is the currency of the books. */
export function exponentIn(currency: string | null, books: string): Exponent {
  const code = currency ?? books
  const exponent = CURRENCIES.get(code)
  if (exponent === undefined) throw new Error(`${code} is no currency of ISO 4217`)
  return exponent
}

/** The currency that a gateway of our own contract is not told: see `toldCurrency`. */
export function untoldCurrency(books: string): string | null {
  return exponentIn(null, books) === 2 ? books : null
}

/**
 * The currency that a gateway has to be told; null: none, as for all payments in the books'
 * currency, where that has two decimals as most have.
 */
export function toldCurrency(currency: string | null, books: string): string | null {
  return currency === null && exponentIn(null, books) === 2 ? null : (currency ?? books)
}
