import type { Promises } from '../src/domain/charge-decision.ts'
import type { GatewayProfile } from '../src/domain/gateway-profile.ts'
import { OPERATIONS } from '../src/domain/payment.ts'

/** A gateway that promises this, and carries out everything in every currency. */
export function profileOf(promises: Promises, more: Partial<GatewayProfile> = {}): GatewayProfile {
  const { repeats, keyLifeMs, lookup } = promises
  return {
    name: 'http',
    operations: new Set(OPERATIONS),
    currencies: 'any',
    repeats,
    keyLifeMs,
    lookup,
    lookupBy: 'key',
    details: false,
    pendingMsMax: 259_200_000,
    watchMs: [],
    ...more,
  }
}
