import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPassing } from '../src/gateways/driver-lists.ts'
import { GatewayUnreadable, type ListCharges } from '../src/ports.ts'
import { testWorld } from './harness.ts'
import { verifyWorld, violated } from './verify-history.ts'

test('a page of a gateway’s list that cannot be read for a moment is asked for again', async (t) => {
  const world = await testWorld(t)
  const sleeps: number[] = []
  const clock = { ...world.clock, sleep: async (ms: number) => void sleeps.push(ms) }
  /** Fails so often at its second page, or at its first one. */
  const failing = (times: number, passing: boolean, at = 1): ListCharges => {
    let left = times
    return async (after) => {
      if (after === at) left -= 1
      if (after === at && left >= 0) throw new GatewayUnreadable('http_429', { passing })
      return { charges: [], next: after === 0 ? 1 : null }
    }
  }
  const compared = (...how: Parameters<typeof failing>) => {
    const gateways = [{ gateway: 'http', list: failing(...how) }]
    return verifyWorld({ ...world, clock }, { gateways })
  }
  assert.deepEqual(violated(await compared(5, true)), [])
  assert.deepEqual(sleeps, [1_000, 2_000, 4_000, 8_000, 16_000])
  await assert.rejects(compared(6, true), GatewayUnreadable)
  sleeps.length = 0
  await assert.rejects(compared(1, false), GatewayUnreadable)
  await assert.rejects(compared(1, true, 0), GatewayUnreadable, 'nobody answers there')
  assert.deepEqual(sleeps, [])
})

test('what passes by itself is told apart from what is no list, whenever it is asked', () => {
  for (const reason of [
    'http_429',
    'http_500',
    'http_503',
    'http_408',
    'reset',
    'timeout',
    'dns',
  ]) {
    assert.equal(isPassing(reason), true, reason)
  }
  for (const reason of ['http_401', 'http_404', 'tls', 'unreadable_reply', 'list_too_long']) {
    assert.equal(isPassing(reason), false, reason)
  }
})
