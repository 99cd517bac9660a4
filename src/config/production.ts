/** What a rule of production looks at; null is an absent setting. */
interface Deployment {
  readonly gatewayNames: readonly string[]
  readonly databaseUrl: string | null
  readonly shardDatabases: readonly { readonly url: string }[] | null
  readonly databaseTls: 'auto' | 'off'
  readonly gatewayUrl: string | null
  readonly gatewayEcho: 'required' | 'optional' | null
  readonly debug: boolean
  readonly webhookSecretsKey: string | null
}

/** What of a gateway with the driver `http` its rules look at. */
interface HttpDeployment {
  readonly url: string | null
  readonly echo: 'required' | 'optional' | null
}

/** A rule about one setting of a gateway; `fix` is a part of a sentence behind the variable. */
interface DriverRule<Field extends string, Settings> {
  readonly field: Field
  readonly broken: (settings: Settings) => boolean
  readonly fix: string
}

/** What the address of every gateway must be. */
export const URL_RULES: readonly DriverRule<'url', Pick<HttpDeployment, 'url'>>[] = [
  {
    field: 'url',
    broken: ({ url }) => isMockGateway(url),
    fix: 'must lead to a real gateway: the mock gateway moves no money',
  },
  {
    field: 'url',
    broken: ({ url }) => isPlainRemote(url),
    fix: 'must be https, unless the gateway is on this machine',
  },
  {
    field: 'url',
    broken: ({ url }) => isNobody(url),
    fix:
      'must not lead to a link-local or unspecified address: such addresses ' +
      'belong to the machine and its cloud, not to a gateway',
  },
]

/** The rules of each gateway with the driver `http`. */
export const HTTP_RULES: readonly DriverRule<'url' | 'echo', HttpDeployment>[] = [
  ...URL_RULES,
  {
    field: 'echo',
    broken: ({ echo, url }) => echo === null && !isMockGateway(url),
    fix:
      'must be set: `required` if every reply of the gateway names the payment or its ' +
      'key (the safer contract), `optional` if not',
  },
]

/** The settings of `http` that a rule about a field looks at. */
const USES: Readonly<Record<'url' | 'echo', readonly (keyof Deployment)[]>> = {
  url: ['gatewayNames', 'gatewayUrl'],
  echo: ['gatewayNames', 'gatewayUrl', 'gatewayEcho'],
}

/**
 * What is fine on a laptop and refused in production. Each `fix` is a sentence of the
 * documentation.
 */
export const PRODUCTION_RULES: readonly {
  /** The settings the rule looks at. It is skipped when one of them could not be read. */
  readonly uses: readonly (keyof Deployment)[]
  readonly broken: (values: Deployment) => boolean
  readonly fix: string
}[] = [
  {
    uses: ['databaseUrl'],
    broken: (values) => values.databaseUrl === null,
    fix: 'DATABASE_URL must be set: the embedded database is for development',
  },
  {
    uses: ['databaseUrl', 'databaseTls'],
    broken: (values) => values.databaseTls === 'auto' && isPlainDatabase(values.databaseUrl),
    fix:
      'DATABASE_URL must end in ?sslmode=verify-full (or require), unless the database is on ' +
      'this machine or in a private network: set DATABASE_TLS=off where the network itself ' +
      'encrypts',
  },
  {
    uses: ['shardDatabases', 'databaseTls'],
    broken: ({ shardDatabases, databaseTls }) =>
      databaseTls === 'auto' && (shardDatabases ?? []).some(({ url }) => isPlainDatabase(url)),
    fix:
      'SHARD_DATABASES must have ?sslmode=verify-full (or require) at each URL, unless its ' +
      'database is on this machine or in a private network: set DATABASE_TLS=off where the ' +
      'network encrypts',
  },
  ...HTTP_RULES.map(({ field, broken, fix }) => ({
    uses: USES[field],
    broken: ({ gatewayNames, gatewayUrl: url, gatewayEcho: echo }: Deployment) =>
      gatewayNames.includes('http') && broken({ url, echo }),
    fix: `${field === 'url' ? 'PAYMENT_GATEWAY_URL' : 'GATEWAY_ECHO'} ${fix}`,
  })),
  {
    uses: ['webhookSecretsKey'],
    broken: ({ webhookSecretsKey }) => webhookSecretsKey === null,
    fix:
      'WEBHOOK_SECRETS_KEY must be set: it seals the secrets of webhook endpoints, and is 32 ' +
      'random bytes in base64',
  },
  {
    uses: ['debug'],
    broken: (values) => values.debug,
    fix: 'DEBUG must be false or unset',
  },
]

/**
 * A mock gateway is known by its path or host, so that the separate role is recognised too, however
 * the URL spells it: the server that is asked reads `mock%2Dgateway` as `mock-gateway`.
 */
export function isMockGateway(url: string | null): boolean {
  return url === null || /mock[-_.]?gateway/i.test(decoded(url))
}

/** Times a URL may have been encoded; nobody routes by more. */
const ENCODED_MAX = 5

/** A URL without percent encoding, also where it was encoded several times. */
function decoded(url: string): string {
  let text = url
  for (let times = 0; times < ENCODED_MAX; times += 1) {
    // One by one: an octet that is no character must not keep the others encoded.
    const next = text.replace(/%([0-7][0-9a-f])/gi, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    )
    if (next === text) return text
    text = next
  }
  return text
}

/** True when charges and credentials would cross a network unencrypted. */
function isPlainRemote(url: string | null): boolean {
  return url !== null && !url.startsWith('https:') && !isThisMachine(new URL(url).hostname)
}

/** True for addresses such as a cloud's metadata service. A URL's host is in its normal form. */
function isNobody(url: string | null): boolean {
  if (url === null) return false
  return /^(0\.|169\.254\.|\[::\]$|\[fe[89ab][0-9a-f]:|\[::ffff:a9fe:)/.test(new URL(url).hostname)
}

/** The values of `sslmode` with which the driver refuses a server that does not encrypt. */
const ENCRYPTED = new Set(['require', 'verify-ca', 'verify-full'])

/** True when the password and the books would cross a public network unencrypted. */
function isPlainDatabase(url: string | null): boolean {
  if (url === null) return false
  const [, authority = '', query = ''] = /^[^:]+:\/\/([^/?]*)[^?]*\??(.*)$/.exec(url) ?? []
  const options = new URLSearchParams(query)
  if (ENCRYPTED.has(options.get('sslmode') ?? '') || options.get('ssl') === 'true') return false
  const hosts = options.get('host') ?? authority.slice(authority.lastIndexOf('@') + 1)
  return hosts.split(',').some((host) => !isNear(host.replace(/:\d*$/, '')))
}

/** This machine, a private network, or a name that only a private network knows. */
function isNear(host: string): boolean {
  const name = decoded(host).toLowerCase()
  // A path is a socket of this machine, and so is no host at all.
  if (name === '' || name.startsWith('/') || isThisMachine(name)) return true
  if (/^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)\d+(\.\d+){0,2}$/.test(name)) return true
  if (/^\[?f[cd][0-9a-f]{2}:/.test(name)) return true
  return /^[a-z][a-z0-9_-]*$/.test(name) || /\.(internal|local|svc)$/.test(name)
}

function isThisMachine(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[?::1\]?)$/.test(host)
}
