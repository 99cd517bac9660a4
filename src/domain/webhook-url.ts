const LENGTH_MAX = 2_048

/** A host that is this machine, whatever a resolver says. */
function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}

/** Why a text cannot be the URL of an endpoint, each with a sentence for its owner. */
export const URL_PROBLEMS = {
  too_long: `It has more than ${LENGTH_MAX} characters.`,
  characters: 'It has spaces, line ends or other characters in it that are not printed.',
  malformed: 'It is no URL, or has a backslash in it, which not all read alike.',
  credentials: 'It has a user or a password in it, or an @ where they would end.',
  fragment: 'It has a fragment: nothing from # on is ever sent.',
  port: 'Nothing listens at port 0.',
  not_https: 'It is not https.',
  private_address: 'Its address is in a network that is never called.',
} as const

type UrlProblem = keyof typeof URL_PROBLEMS

/** Which URLs endpoints may have. */
export interface UrlTerms {
  /** Whether one may be http to this machine. */
  readonly development: boolean
  /** Whether an address may be called. */
  readonly allowed: (address: string) => boolean
}

/** What is told of a problem with a URL; null: nothing is known of it. */
export function urlSentence(problem: string): string | null {
  return (URL_PROBLEMS as Readonly<Record<string, string>>)[problem] ?? null
}

/**
 * Why a text cannot be the URL of an endpoint; null: it can. What is taken is called as it is
 * written: nothing in it is left out, or read as something else.
 */
export function urlProblem(text: string, terms: UrlTerms): UrlProblem | null {
  const problem = textProblem(text)
  if (problem !== null) return problem
  const url = new URL(text)
  return schemeProblem(url, terms) ?? partProblem(text, url) ?? addressProblem(url, terms)
}

/** The same of a URL that may be http, and anywhere. */
export function plainUrlProblem(text: string): UrlProblem | null {
  return textProblem(text) ?? partProblem(text, new URL(text))
}

function textProblem(text: string): UrlProblem | null {
  if (text.length > LENGTH_MAX) return 'too_long'
  if (/[\p{C}\s]/u.test(text)) return 'characters'
  return URL.canParse(text) ? null : 'malformed'
}

/** What is written otherwise than it is read, and parts that have nothing to say. */
function partProblem(text: string, { port }: URL): UrlProblem | null {
  if (!/^https?:\/\/[^/]/i.test(text) || text.includes('\\')) return 'malformed'
  if (/^[^/]*\/\/[^/\\?#]*@/.test(text)) return 'credentials'
  if (text.includes('#')) return 'fragment'
  return port === '0' ? 'port' : null
}

function schemeProblem(url: URL, { development }: UrlTerms): UrlProblem | null {
  if (url.protocol === 'https:') return null
  const near = development && url.protocol === 'http:' && isLoopback(url.hostname)
  return near ? null : 'not_https'
}

/** An address that stands in a URL is known before it is called; a name is looked up then. */
function addressProblem({ hostname }: URL, { allowed }: UrlTerms): UrlProblem | null {
  const literal = /^\[(.*)\]$/.exec(hostname)?.[1] ?? /^[\d.]+$/.exec(hostname)?.[0]
  return literal === undefined || allowed(literal) ? null : 'private_address'
}
