import { eachPart } from '../each-shard.ts'
import type { GatewayReturn } from '../ports.ts'
import { found, inEachShard, knownOnly, type Pass } from './pass.ts'
import type { Finding } from './report.ts'
import { paymentsCalled, returnsMissing } from './returns-store.ts'

/** How long a notice, or the look that it asks for, may take to book what came back. */
const GRACE_MS = 3_600_000

/**
 * What came back at a gateway more than an hour ago and is not in the books. What is looked at
 * within the hour is left out, and so is what came back of payments that are not ours: they are
 * known by our id, or by the reference that is kept of deposits.
 */
export async function missingReturns(
  pass: Pass,
  gateway: string,
  returns: readonly GatewayReturn[],
): Promise<Finding[]> {
  const { db, clock } = pass.world
  const beforeMs = clock.now().getTime() - GRACE_MS
  const old = returns.filter(({ at }) => at === null || at.getTime() < beforeMs)
  const refs = old.flatMap(({ parentRef }) => (parentRef === null ? [] : [parentRef]))
  const called =
    refs.length === 0
      ? []
      : await inEachShard(pass, (shard) => paymentsCalled(shard, gateway, [...new Set(refs)]))
  const ids = new Map(called.flat().map(({ ref, paymentId }) => [ref, paymentId]))
  const asked = old.flatMap(({ paymentId, parentRef, ref, undoes = '' }) => {
    const parentId = paymentId ?? ids.get(parentRef ?? '')
    const away = parentId === undefined || pass.missing.has(db.of(parentId).number)
    return away ? [] : [{ parentId, ref, undoes }]
  })
  const parts = await eachPart(
    db,
    asked,
    ({ parentId }) => parentId,
    (shard, own) => returnsMissing(shard, gateway, own),
  )
  const missing = knownOnly(pass, parts).flat()
  return missing.map(({ parentId }) => found('gateway_return_missing_here', 'charge', parentId))
}
