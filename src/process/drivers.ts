import type { DriverName } from '../config/driver-settings.ts'
import { assumed, type GatewayConfig, type GatewayOf } from '../config/gateways.ts'
import type { GatewayProfile } from '../domain/gateway-profile.ts'
import { exponentOf, untoldCurrency } from '../domain/currency.ts'
import { httpCharges } from '../gateways/http-charges.ts'
import { readHttpNotice } from '../gateways/http-notice.ts'
import { httpGateway } from '../gateways/http-gateway.ts'
import { STRIPE_CURRENCIES } from '../gateways/stripe-amount.ts'
import { stripeCharges } from '../gateways/stripe-list.ts'
import { stripeGateway } from '../gateways/stripe.ts'
import { yookassaCharges, YOOKASSA_KEY_LIFE_MS } from '../gateways/yookassa-list.ts'
import { yookassaGateway } from '../gateways/yookassa.ts'
import type { Clock, Gateway, ListCharges } from '../ports.ts'

/** What every driver is given beside its settings. */
interface Opening {
  readonly clock: Clock
  /** The currency of the books. */
  readonly books: string
  /** Calls at a time, of all operations together. */
  readonly connections: number
  /** Where the built-in mock gateway is; asked at the first call. */
  readonly mockUrl: () => string
}

/** How a gateway of one kind is opened. */
interface Driver<D extends DriverName> {
  /** What such a gateway can do, by its settings. */
  readonly profile: (gateway: GatewayOf<D>) => GatewayProfile
  readonly open: (gateway: GatewayOf<D>, profile: GatewayProfile, opening: Opening) => Gateway
  /** Everything that it executed; null: nobody can be asked. */
  readonly list: (gateway: GatewayOf<D>) => ListCharges | null
}

/** Every driver. Adding one is a file in `gateways/`, a table of settings, and a line here. */
const DRIVERS: { readonly [D in DriverName]: Driver<D> } = {
  http: { profile: httpProfile, open: openHttp, list: httpList },
  stripe: {
    profile: stripeProfile,
    open: openStripe,
    list: ({ settings }) => stripeCharges(settings.url, settings.secretKey),
  },
  yookassa: {
    profile: yookassaProfile,
    open: openYookassa,
    list: ({ settings }) => yookassaCharges({ url: settings.url, ...yookassaShops(settings) }),
  },
}

/** What a configured gateway can do. */
export function profileOf(gateway: GatewayConfig): GatewayProfile {
  return driverOf(gateway).profile(gateway)
}

/** Open a configured gateway. Nothing is connected before its first call. */
export function openDriver(
  gateway: GatewayConfig,
  profile: GatewayProfile,
  opening: Opening,
): Gateway {
  return driverOf(gateway).open(gateway, profile, opening)
}

/** Everything that a configured gateway executed; null: it has no address. */
export function listOf(gateway: GatewayConfig): ListCharges | null {
  return driverOf(gateway).list(gateway)
}

/** The driver of a gateway, which takes what is configured for it. */
function driverOf(gateway: GatewayConfig): Driver<DriverName> {
  // Its own, by the name that both have.
  return DRIVERS[gateway.driver] as Driver<DriverName>
}

function httpProfile({ name, settings }: GatewayOf<'http'>): GatewayProfile {
  const { currencies, operations, idempotent, keyLifeMs, pendingMsMax, watchMs } = settings
  const { lookup } = assumed(settings)
  return {
    name,
    operations: new Set(operations),
    currencies: currencies === null ? 'any' : decimalsOf(currencies),
    repeats: idempotent ? 'first_answer' : 'may_execute_again',
    keyLifeMs,
    lookup,
    lookupBy: 'key',
    details: false,
    pendingMsMax,
    // What it cannot be asked about, it cannot be watched for.
    watchMs: lookup === 'none' ? [] : watchMs,
  }
}

/** Currencies with their decimals. */
function decimalsOf(currencies: readonly string[]) {
  return new Map(currencies.map((code) => [code, exponentOf(code) ?? 0]))
}

function openHttp(
  { settings, timeoutMs }: GatewayOf<'http'>,
  profile: GatewayProfile,
  { clock, books, connections, mockUrl }: Opening,
): Gateway {
  const { echo } = assumed(settings)
  const more = { echo, headers: httpHeaders(settings), untold: untoldCurrency(books), clock }
  const open = (url: string) => httpGateway({ url, timeoutMs, connections, profile, ...more })
  return settings.url === null ? openedLate(profile, () => open(mockUrl())) : open(settings.url)
}

function httpList({ settings }: GatewayOf<'http'>): ListCharges | null {
  return settings.url === null ? null : httpCharges(settings.url, httpHeaders(settings))
}

/** A gateway that its first call opens. */
function openedLate(profile: GatewayProfile, open: () => Gateway): Gateway {
  let opened: Gateway | undefined
  const gateway = () => (opened ??= open())
  return {
    profile,
    execute: (operation, signal) => gateway().execute(operation, signal),
    lookup: (operation, signal) => gateway().lookup(operation, signal),
    cancel: (operation, signal) => {
      const { cancel, lookup } = gateway()
      return (cancel ?? lookup)(operation, signal)
    },
    readNotice: (raw) => readHttpNotice(raw.body),
    close: async () => opened?.close(),
  }
}

/** What every call carries, names and values in turn: secrets, never logged. */
export function httpHeaders({
  authorization,
  headers,
}: Pick<GatewayOf<'http'>['settings'], 'authorization' | 'headers'>): string[] {
  const more = Object.entries(headers ?? {}).flat()
  return authorization === null ? more : ['authorization', authorization, ...more]
}

/** How long Stripe remembers a key at least, in milliseconds. */
const STRIPE_KEY_LIFE_MS = 86_400_000

function stripeProfile({ name, settings }: GatewayOf<'stripe'>): GatewayProfile {
  const { currencies, operations, pendingMsMax, watchMs } = settings
  const taken = [...STRIPE_CURRENCIES].filter(([code]) => currencies?.includes(code) ?? true)
  return {
    name,
    operations: new Set(operations),
    currencies: new Map(taken),
    repeats: 'first_answer',
    keyLifeMs: STRIPE_KEY_LIFE_MS,
    lookup: 'eventual',
    lookupBy: 'key',
    details: true,
    namesByRef: true,
    pendingMsMax,
    watchMs,
  }
}

function openStripe(
  { settings, timeoutMs }: GatewayOf<'stripe'>,
  profile: GatewayProfile,
  { clock, connections }: Opening,
): Gateway {
  const { url, secretKey, noticeAgeMsMax } = settings
  const noticeSecrets = settings.noticeSecrets ?? []
  const secrets = { secretKey, noticeSecrets, noticeAgeMsMax }
  return stripeGateway({ url, ...secrets, timeoutMs, connections, profile, clock })
}

function yookassaProfile({ name, settings }: GatewayOf<'yookassa'>): GatewayProfile {
  const { currencies, pendingMsMax, watchMs } = settings
  const { payoutShop } = yookassaShops(settings)
  return {
    name,
    operations: new Set(['charge', 'refund', ...(payoutShop === null ? [] : ['payout' as const])]),
    currencies: decimalsOf(currencies),
    repeats: 'first_answer',
    keyLifeMs: YOOKASSA_KEY_LIFE_MS,
    lookup: 'eventual',
    lookupBy: 'ref',
    details: true,
    namesByRef: true,
    pendingMsMax,
    watchMs,
  }
}

function openYookassa(
  { settings, timeoutMs }: GatewayOf<'yookassa'>,
  profile: GatewayProfile,
  { clock, connections }: Opening,
): Gateway {
  const { url, returnUrl } = settings
  const shops = yookassaShops(settings)
  return yookassaGateway({ url, timeoutMs, connections, profile, returnUrl, clock, ...shops })
}

/** Who asks YooKassa: secrets, never logged. */
function yookassaShops(settings: GatewayOf<'yookassa'>['settings']) {
  const { shopId, secretKey, payoutShopId, payoutSecretKey } = settings
  const hasPayouts = payoutShopId !== null && payoutSecretKey !== null
  return {
    shop: { id: `${shopId}`, secretKey },
    payoutShop: hasPayouts ? { id: `${payoutShopId}`, secretKey: payoutSecretKey } : null,
  }
}
