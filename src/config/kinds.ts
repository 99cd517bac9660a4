import { isIP } from 'node:net'
import { exponentOf } from '../domain/currency.ts'
import { parseFeeMins } from '../domain/fee.ts'
import { OPERATIONS, type Operation } from '../domain/payment.ts'
import { GATEWAY_NAME, parseRoutes } from '../domain/routing.ts'
import { serverUrls } from '../domain/server-urls.ts'

/**
 * How one kind of setting is read. `read` turns its text into a value, or into undefined when the
 * text is not one, or one out of bounds; `allowed` says to people what is.
 */
export interface SettingKind<Value = unknown> {
  readonly read: (text: string) => Value | undefined
  readonly allowed: string
}

/** The value a kind of setting is read into. */
export type KindValue<K extends SettingKind> = Exclude<ReturnType<K['read']>, undefined>

/** One environment variable: how it is read, what it is when absent, and what people are told. */
export interface Setting {
  readonly name: string
  readonly group: string
  readonly kind: SettingKind
  /** Its text when the variable is unset; null when the setting is then absent. */
  readonly fallback: string | null
  readonly doc: string
  /** True when the fallback depends on other settings: `.env.example` shows it commented out. */
  readonly varies?: boolean
  /** What `.env.example` shows, commented out, for a setting without a fallback. */
  readonly example?: string
  /** True when the value must never be printed, in errors included. */
  readonly secret?: boolean
}

/** Printable text of 1 to `lengthMax` characters. */
export function text(lengthMax: number) {
  return {
    read: (value: string) => matching(value, /^\P{Cc}+$/u, lengthMax),
    allowed: `text, up to ${lengthMax} characters`,
  }
}

/** A host name or IP address to listen on. */
export function host() {
  const read = (value: string) => matching(value, /^[A-Za-z0-9.:_-]+$/, 253)
  return { read, allowed: 'a host name or an IP address' }
}

/** A key of 32 bytes, in base64. */
export function secretsKey() {
  const read = (value: string) =>
    /^[\w+/-]{43}=?$/.test(value) && Buffer.from(value, 'base64').length === 32 ? value : undefined
  return { read, allowed: '32 bytes in base64, such as `openssl rand -base64 32` makes' }
}

/** IP addresses and networks (CIDR), separated by commas; empty: none. */
export function networks() {
  const read = (value: string) => {
    const parts = value.split(',').map((part) => part.trim())
    const given = parts.filter((part) => part !== '')
    return given.every(isNetwork) ? given : undefined
  }
  const allowed = 'IP addresses and networks such as `10.0.0.0/8`, separated by commas'
  return { read, allowed }
}

function isNetwork(network: string): boolean {
  const [address = '', bits, ...more] = network.split('/')
  const bitsMax = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  if (more.length > 0 || bitsMax === -1 || address.includes('%')) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax)
}

/** A whole number between `min` and `max`, both included. */
export function integer(min: number, max: number) {
  const read = (value: string) =>
    /^\d{1,15}$/.test(value) ? within(Number(value), min, max) : undefined
  return { read, allowed: `a whole number from ${min} to ${max}` }
}

/** A duration written in seconds with up to 3 decimals and read into whole milliseconds. */
export function seconds(min: number, max: number) {
  const read = (value: string) => within(fixedPoint(value, 3), min * 1_000, max * 1_000)
  return { read, allowed: `seconds from ${min} to ${max}, up to 3 decimals` }
}

/** How many ages a list of them holds at most. */
const AGES_MAX = 10

/** Ages in whole seconds, each more than the one before, read into milliseconds; `off`: none. */
export function ages() {
  const read = (value: string) => {
    if (value.toLowerCase() === 'off') return []
    const parts = listOf(value, (part) => /^[1-9]\d{0,8}$/.test(part))?.map(Number)
    const rise = parts?.every((age, index) => age > (parts[index - 1] ?? 0)) === true
    return rise && parts.length <= AGES_MAX ? parts.map((age) => age * 1_000) : undefined
  }
  const allowed = `\`off\`, or up to ${AGES_MAX} rising ages in whole seconds, separated by commas`
  return { read, allowed }
}

/** A percentage with up to 2 decimals, read into basis points: "2.5" is 250. */
export function percent() {
  const read = (value: string) => within(fixedPoint(value, 2), 0, 10_000)
  return { read, allowed: 'a percentage from 0 to 100, up to 2 decimals' }
}

/** A currency by its code of ISO 4217, in any case. */
export function currency() {
  const read = (value: string) => {
    const code = value.toUpperCase()
    return exponentOf(code) === undefined ? undefined : code
  }
  return { read, allowed: 'an ISO 4217 code such as `USD`' }
}

/** Amounts by currency; one without a currency is for a default that is known elsewhere. */
export function feeMins() {
  const allowed = 'an amount such as `0.30`, or amounts by currency such as `USD:0.30,JPY:40`'
  return { read: parseFeeMins, allowed }
}

/** Names of gateways, each once, separated by commas. */
export function gatewayNames() {
  const read = (value: string) => listOf(value, (name) => GATEWAY_NAME.test(name))
  const allowed = 'names of lower case letters and digits, separated by commas'
  return { read, allowed }
}

/** Which gateway carries out what, as ordered rules. */
export function routes() {
  const allowed = 'rules such as `withdraw:EUR=bank,*:RUB=local,*=http`'
  return { read: parseRoutes, allowed }
}

/** Currencies by their codes of ISO 4217, each once, in any case, separated by commas. */
export function currencies() {
  const read = (value: string) =>
    listOf(value.toUpperCase(), (code) => exponentOf(code) !== undefined)
  return { read, allowed: 'ISO 4217 codes such as `USD,EUR`, separated by commas' }
}

/** The URL of a collector of OTLP over HTTP, to which `/v1/traces` is added. */
export function collectorUrl() {
  const read = (value: string) => {
    const url = URL.canParse(value) ? new URL(value) : null
    const known = url !== null && !value.includes('\\')
    const plain = known && /^https?:$/.test(url.protocol) && url.search + url.hash === ''
    return plain && url.username + url.password === '' ? value : undefined
  }
  return { read, allowed: 'an http or https URL without user, password and query' }
}

/** Headers as OpenTelemetry writes them: `name=value,name=value`, values percent-encoded. */
export function listedHeaders() {
  const allowed = `up to ${HEADERS_MAX} headers such as \`api-key=abc,team=payments\``
  return { read: listedHeadersOf, allowed }
}

function listedHeadersOf(list: string): Readonly<Record<string, string>> | undefined {
  const listed: Record<string, string> = {}
  for (const part of list.split(',')) {
    const [, name = '', encoded = ''] = /^ *([^= ]+) *= *(.*?) *$/.exec(part) ?? []
    const value = decoded(encoded)
    const right = HEADER_NAME.test(name) && !FRAMING_HEADERS.test(name) && !(name in listed)
    if (!right || value === undefined || headerValueOf(value) === undefined) return undefined
    listed[name] = value
  }
  return Object.keys(listed).length <= HEADERS_MAX ? listed : undefined
}

function decoded(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}

/** What frames our requests. */
const FRAMING_HEADERS =
  /^(connection|content-.*|expect|host|keep-alive|te|trailer|transfer-.*|upgrade)$/i

/** A share from 0 to 1, with up to 9 decimals. */
export function share() {
  const read = (value: string) => {
    const given = /^\d(\.\d{1,9})?$/.test(value) ? Number(value) : NaN
    return given >= 0 && given <= 1 ? given : undefined
  }
  return { read, allowed: 'a number from 0 to 1' }
}

/** What a gateway carries out. */
export function operations() {
  const isOne = (word: string) => OPERATIONS.some((operation) => operation === word)
  // Every word was found to be one.
  const read = (value: string) => listOf(value, isOne) as readonly Operation[] | undefined
  return { read, allowed: 'some of `charge`, `payout`, `refund`, separated by commas' }
}

/** The parts between commas, if each is right and none is there twice. */
function listOf(value: string, isRight: (part: string) => boolean): readonly string[] | undefined {
  const parts = value.split(',').map((part) => part.trim())
  return parts.every(isRight) && new Set(parts).size === parts.length ? parts : undefined
}

const YES = ['true', '1', 'yes', 'on']
const NO = ['false', '0', 'no', 'off']

/** The value of an HTTP header: visible ASCII and single spaces. */
export function headerValue() {
  return { read: headerValueOf, allowed: 'the value of a header, visible ASCII' }
}

function headerValueOf(value: string): string | undefined {
  return matching(value, /^[\x21-\x7e]+( [\x21-\x7e]+)*$/, 4_096)
}

/** Up to five secrets of visible ASCII, separated by commas. */
export function secrets() {
  const read = (value: string) => {
    const given = listOf(value, (secret) => /^[\x21-\x7e]{8,200}$/.test(secret))
    return given !== undefined && given.length <= 5 ? given : undefined
  }
  return { read, allowed: 'up to five secrets of visible ASCII, separated by commas' }
}

const HEADER_NAME = /^[A-Za-z0-9-]{1,64}$/
const HEADERS_MAX = 20

/** Headers that our requests have already, or that frame them. */
const OWN_HEADERS = new RegExp(
  '^(accept|authorization|connection|content-.*|expect|host|idempotency-key|keep-alive|te|' +
    'trailer|transfer-encoding|upgrade)$',
  'i',
)

/**
 * Headers as one JSON object, because names and values may hold whatever another notation would
 * separate them by.
 */
export function headers() {
  return {
    read: headersOf,
    allowed: `a JSON object of up to ${HEADERS_MAX} header names and values`,
  }
}

function headersOf(json: string): Readonly<Record<string, string>> | undefined {
  try {
    const given: unknown = JSON.parse(json)
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined
    const fields = Object.entries(given)
    const right = fields.every(
      ([name, value]) =>
        HEADER_NAME.test(name) &&
        !OWN_HEADERS.test(name) &&
        typeof value === 'string' &&
        headerValueOf(value) !== undefined,
    )
    // Every value was found to be a text.
    const texts = given as Readonly<Record<string, string>>
    return right && fields.length <= HEADERS_MAX ? texts : undefined
  } catch {
    return undefined
  }
}

/** Yes or no, in the spellings the original service took, in any case. */
export function flag() {
  const read = (value: string) => {
    const word = value.toLowerCase()
    return YES.includes(word) ? true : NO.includes(word) ? false : undefined
  }
  return { read, allowed: '`true` or `false` (also 1/0, yes/no, on/off)' }
}

/** One of `words`, in any case. `aliases` are other spellings of the same, in lower case. */
export function choice<const W extends string>(
  words: readonly W[],
  aliases: Readonly<Record<string, W>> = {},
) {
  const read = (value: string) => {
    const word = value.toLowerCase()
    return Object.hasOwn(aliases, word) ? aliases[word] : words.find((known) => known === word)
  }
  const allowed = [...words, ...Object.keys(aliases)].map((word) => `\`${word}\``).join(', ')
  return { read, allowed: `one of ${allowed}` }
}

/**
 * A PostgreSQL URL of one server or several. `postgres://` and a Python driver's suffix, as in
 * `postgresql+asyncpg://`, are read as `postgresql://`, so that the URL of the original service can
 * be kept.
 */
export function databaseUrl() {
  const read = (value: string) => {
    const url = value.replace(/^postgres(?:ql)?(?:\+[a-z0-9]+)?:\/\//, 'postgresql://')
    return serverUrls(url) === null ? undefined : url
  }
  const allowed =
    '`postgresql://user:password@host:port/database`, special characters %-encoded; several ' +
    'servers as `host1:port1,host2:port2`, of which the one that takes writes is used ' +
    '(`target_session_attrs=read-write`)'
  return { read, allowed }
}

/** A server's shards, from the first to the last, and its URL. */
interface ShardRange {
  readonly first: number
  readonly last: number
  readonly url: string
}

/**
 * Ranges of shards, each with the URL of its database, such as `0-31=postgresql://…,32-63=…`, in
 * their order: each shard from 0 on is in one of them.
 */
export function shardMap() {
  const url = databaseUrl()
  const read = (value: string): readonly ShardRange[] | undefined => {
    const ranges: ShardRange[] = []
    // A URL may have commas as well, between its hosts.
    for (const part of value.split(/,\s*(?=\d+(?:-\d+)?=)/)) {
      const [, first, last = first, address = ''] =
        /^(\d{1,4})(?:-(\d{1,4}))?=(.+)$/.exec(part) ?? []
      const known = url.read(address.trim())
      if (first === undefined || known === undefined) return undefined
      ranges.push({ first: Number(first), last: Number(last), url: known })
    }
    ranges.sort((one, other) => one.first - other.first)
    const urls = new Set(ranges.map((range) => range.url))
    const right = ranges.every(
      ({ first, last }, index) => first <= last && first === (ranges[index - 1]?.last ?? -1) + 1,
    )
    return right && urls.size === ranges.length ? ranges : undefined
  }
  const allowed =
    'ranges of shards with the URLs of their databases, ' +
    '`0-31=postgresql://…,32-63=postgresql://…`, each shard from 0 on in one range, and no URL ' +
    'twice'
  return { read, allowed }
}

/** An HTTP base URL without credentials, query or fragment; a slash at its end is dropped. */
export function httpUrl() {
  const read = (value: string) => {
    if (!/^https?:\/\/[^/\\][^\\]*$/i.test(value) || !URL.canParse(value)) return undefined
    const url = new URL(value)
    if (url.username || url.password || url.search || url.hash) return undefined
    return url.href.replace(/\/+$/, '')
  }
  const allowed = '`http(s)://host/path` without user name, password, query and fragment'
  return { read, allowed }
}

/** A StatsD daemon's address. */
export function statsdUrl() {
  const read = (value: string) =>
    /^(udp|statsd):\/\/[^/@?#\\]+\/?$/.test(value) && URL.canParse(value) ? value : undefined
  return { read, allowed: '`udp://host:port` or `statsd://host:port`' }
}

/** A decimal text times 10^`decimals` as an exact integer; undefined if it has more decimals. */
function fixedPoint(value: string, decimals: number): number | undefined {
  const match = /^(\d{1,11})(?:\.(\d+))?$/.exec(value)
  const fraction = match?.[2] ?? ''
  if (!match || fraction.length > decimals) return undefined
  return Number(`${match[1]}${fraction.padEnd(decimals, '0')}`)
}

/** A text of such a form and length; undefined: it is another. */
function matching(value: string, form: RegExp, lengthMax: number): string | undefined {
  return value.length <= lengthMax && form.test(value) ? value : undefined
}

/** A number within bounds, both included; undefined: it is outside. */
function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined
}
