import type { TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { yookassaGateway, type YookassaOptions } from '../src/gateways/yookassa.ts'
import type { Gateway } from '../src/ports.ts'
import { detailsOf } from './driver-kit.ts'
import { profileOf } from './profiles.ts'

/** A method that was saved at YooKassa, so that no payer is needed. */
export const SAVED = '2e5e0000-000f-5000-9000-0000000000aa'

/** Credentials as the mock gateway takes them. */
export const SHOP = { id: '100500', secretKey: 'test_shop' }
export const PAYOUT_SHOP = { id: '200600', secretKey: 'test_payout_shop' }

export const DETAILS = detailsOf(SAVED)

/** A deposit by a saved method. */
export const DEPOSIT: GatewayOperation = {
  kind: 'charge',
  key: '0f8b6c1e-5d0c-4d0e-9f1e-2a1f6c1f9a77',
  paymentId: 7n,
  userId: 3n,
  amount: 20_050n,
  commission: 401n,
  currency: 'RUB',
  exponent: 2,
  details: DETAILS,
}

export const PROFILE = profileOf(
  { repeats: 'first_answer', keyLifeMs: 86_400_000, lookup: 'eventual' },
  { name: 'yookassa', lookupBy: 'ref', currencies: new Map([['RUB', 2]]) },
)

/** The driver, closed when the test ends. */
export function yookassa(
  t: TestContext,
  url: string,
  more: Partial<YookassaOptions> = {},
): Gateway {
  const gateway = yookassaGateway({
    url,
    timeoutMs: 20_000,
    connections: 8,
    profile: PROFILE,
    shop: SHOP,
    payoutShop: PAYOUT_SHOP,
    returnUrl: 'https://shop.example/back',
    clock: systemClock,
    ...more,
  })
  t.after(() => gateway.close())
  return gateway
}
