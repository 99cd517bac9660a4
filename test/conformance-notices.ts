import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Gateway, Notice, RawNotice } from '../src/ports.ts'
import type { About, Conform, Noticing } from './conformer.ts'
import { peer } from './misbehaving-peer.ts'

/** Notices of one flood. */
const FLOOD = 10_000

/** What any driver that reads notices must make of them. */
export function notices(conform: Conform): void {
  conform(
    'a notice before our own reply names the payment, and only a lookup ends it',
    async (made, t) => {
      const { behave, gateway, charge } = made
      const { of } = made.notices ?? {}
      if (of === undefined) return t.skip('it sends none')
      behave('lose_reply')
      assert.equal((await gateway.execute(charge)).outcome.kind, 'in_doubt')
      const ref = made.refs?.(charge.paymentId)[0] ?? assert.fail('it has no reference')
      const notice = read(gateway, of({ ref, paymentId: charge.paymentId, event: 'success' }))
      assert(notice.kind === 'authentic' || notice.kind === 'hint')
      assert.deepEqual([notice.paymentId, notice.ref], [charge.paymentId, ref])
      assert.equal(notice.operation, charge.kind)
      const { outcome } = await gateway.lookup({ ...charge, gatewayRef: notice.ref })
      assert.deepEqual(outcome.kind === 'success' && outcome.gatewayRef, ref)
    },
  )

  conform('a notice that lies about what happened changes nothing', async (made, t) => {
    const { behave, gateway, charge } = made
    const { of } = made.notices ?? {}
    if (of === undefined) return t.skip('it sends none')
    behave('decline')
    await gateway.execute(charge)
    const about = { ref: made.ref, paymentId: charge.paymentId, event: 'success' } as const
    assert.match(read(gateway, of(about)).kind, /^(authentic|hint)$/)
    const { outcome } = await gateway.lookup(charge)
    assert.equal(outcome.kind, 'declined')
    assert.equal(made.charged(charge.paymentId), 0)
  })

  conform('a notice that is sent again is known again, and another is another', async (made, t) => {
    const { gateway } = made
    const { of } = made.notices ?? {}
    if (of === undefined) return t.skip('it sends none')
    const abouts: readonly About[] = [
      { ref: 'ref-1', paymentId: 1n, event: 'success' },
      { ref: 'ref-1', paymentId: 1n, event: 'declined' },
      { ref: 'ref-2', paymentId: 2n, event: 'success' },
    ]
    const keys = abouts.map((about) => {
      const [first, again] = [read(gateway, of(about)), read(gateway, of(about))]
      assert.deepEqual(again, first)
      return keyOf(first)
    })
    assert.equal(new Set(keys).size, abouts.length)
  })
}

/** What any driver must make of notices that nobody, or everybody, sends. */
export function floods(conform: Conform): void {
  conform('a forged notice is refused', async ({ gateway, notices: own }, t) => {
    if (own === undefined) return t.skip('it sends none')
    const raw = own.of({ ref: 'ref-1', paymentId: 1n, event: 'success' })
    assert.notEqual(read(gateway, raw).kind, 'refused')
    for (const forge of own.forged) assert.equal(read(gateway, forge(raw)).kind, 'refused')
    for (const body of ['', '{}', '[]', 'null', '\u0000', '{"object":'.repeat(1_000)]) {
      assert.equal(read(gateway, { ...raw, body: Buffer.from(body) }).kind, 'refused')
    }
  })

  conform(
    'a flood of notices asks the gateway nothing, and nothing of it is kept',
    async (made, t) => {
      const { notices: own } = made
      if (own === undefined) return t.skip('it sends none')
      const { url, requests } = await peer(t, (socket) => void socket.end())
      const gateway = made.at(url)
      flood(gateway, own)
      // The second flood finds no more in memory than the first one left.
      const before = memory()
      flood(gateway, own)
      const kept = memory() - before
      assert.ok(kept < FLOOD * 50, `${kept} bytes were kept`)
      assert.equal(requests.length, 0)
    },
  )
}

/** Read many notices, authentic and forged. */
function flood(gateway: Gateway, own: Noticing): void {
  for (let count = 0; count < FLOOD; count += 1) {
    const about = { ref: `ref-${count}`, paymentId: BigInt(count + 1), event: 'success' } as const
    const raw = own.of(about)
    const forge = own.forged[count % own.forged.length] ?? assert.fail()
    assert.notEqual(read(gateway, raw).kind, 'refused')
    assert.equal(read(gateway, forge(raw)).kind, 'refused')
  }
}

/** Bytes in use, once nothing that is garbage is counted. */
function memory(): number {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void // The flag makes it one.
  gc()
  gc()
  return process.memoryUsage().heapUsed
}

function read({ readNotice }: Gateway, raw: RawNotice): Notice {
  return readNotice?.(raw) ?? assert.fail('it reads none')
}

function keyOf(notice: Notice): string {
  return 'dedupeKey' in notice ? notice.dedupeKey : assert.fail(notice.kind)
}
