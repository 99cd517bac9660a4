/** What codes of Node and undici say, in our words. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection_refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  UND_ERR_SOCKET: 'reset',
  UND_ERR_CONNECT_TIMEOUT: 'connect_timeout',
  UND_ERR_HEADERS_OVERFLOW: 'reply_too_large',
}

/** The names OpenSSL and Node give to certificates and handshakes that are not accepted. */
const TLS =
  /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_CA|HOSTNAME_)/

/**
 * Whether undici says that what was answered is no HTTP. Of what its parser refuses it says so by a
 * name and mostly without a code; of a `100 Continue` and a `101` that nobody asked for by these
 * words alone; and of a status below 100 by an assertion of its own.
 */
export function isUnreadable({ name, message, code = '' }: Error & { code?: unknown }): boolean {
  const unread = code === 'UND_ERR_SOCKET' && /^bad (response|upgrade)$/.test(message)
  const told = code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' || code === 'ERR_ASSERTION'
  return unread || told || name === 'HTTPParserError'
}

/** Why a request failed, by the code of its error; null: this code does not say. */
export function connectionReason(code: string): string | null {
  return TLS.test(code) ? 'tls' : (REASONS[code] ?? null)
}
