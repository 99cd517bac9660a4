import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { allowance } from '../src/http/rate-limit.ts'
import { callers } from '../src/http/caller.ts'
import { hostAndOriginCheck } from '../src/http/host-and-origin.ts'
import { manualClock } from './harness.ts'

// What the functions under test read of a request.
const request = (part: object) => ({ headers: {}, ...part }) as unknown as IncomingMessage

test('a caller is the first stranger behind the trusted proxies, read from the right', () => {
  const trusted = ['10.0.0.0/8', '192.0.2.7', 'fd00::/8']
  const table: [remote: string, forwarded: string | undefined, caller: string][] = [
    ['203.0.113.5', undefined, '203.0.113.5'],
    // Nobody trusts a stranger's header.
    ['203.0.113.5', '198.51.100.1', '203.0.113.5'],
    ['10.1.2.3', undefined, '10.1.2.3'],
    ['10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['10.1.2.3', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['10.1.2.3', '1.1.1.1, 198.51.100.1, 192.0.2.7, 10.9.9.9', '198.51.100.1'],
    ['::ffff:10.1.2.3', '198.51.100.1:4711', '198.51.100.1'],
    ['fd12::1', '[2001:db8:1:2:3:4:5:6]:4711', '2001:db8:1:2::/64'],
    ['10.1.2.3', '198.51.100.1, unknown', '10.1.2.3'],
    ['10.1.2.3', '198.51.100.1, unknown, 10.4.4.4', '10.4.4.4'],
    ['10.1.2.3', '', '10.1.2.3'],
    // However much a stranger writes in front of it, what our own proxy wrote stands last.
    ['10.1.2.3', `${'1.1.1.1, '.repeat(100)}198.51.100.1`, '198.51.100.1'],
    ['10.1.2.3', `${'10.8.8.8, '.repeat(100)}198.51.100.1, 10.9.9.9`, '198.51.100.1'],
    ['2001:db8::5', undefined, '2001:db8:0:0::/64'],
    ['2001:db8:0:0:ffff::1', undefined, '2001:db8:0:0::/64'],
    ['fe80::1%eth0', undefined, 'fe80:0:0:0::/64'],
    ['::1', undefined, '0:0:0:0::/64'],
  ]
  for (const [remoteAddress, forwarded, caller] of table) {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    const given = request({ socket: { remoteAddress }, headers })
    assert.equal(callers(trusted)(given).network, caller, `${remoteAddress} ${forwarded}`)
  }
})

test('a limit counts the /64 of a caller, and a check of sources sees its whole address', () => {
  const table: [remote: string, forwarded: string | undefined, address: string, network: string][] =
    [
      ['2a02:5180:0:2655::1', undefined, '2a02:5180:0:2655::1', '2a02:5180:0:2655::/64'],
      ['fd12::1', '[2a02:5180:0:2655::7]:443', '2a02:5180:0:2655::7', '2a02:5180:0:2655::/64'],
      ['::ffff:185.71.76.5', undefined, '185.71.76.5', '185.71.76.5'],
      ['::1', undefined, '::1', '0:0:0:0::/64'],
    ]
  for (const [remoteAddress, forwarded, address, network] of table) {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    const given = request({ socket: { remoteAddress }, headers })
    assert.deepEqual(callers(['fd00::/8'])(given), { address, network }, remoteAddress)
  }
})

test('where no key is asked for, only names of this machine and pages of this service may ask', () => {
  const local = hostAndOriginCheck('127.0.0.1')
  const table: [
    what: string,
    method: string,
    headers: Record<string, string>,
    refused: string | null,
  ][] = [
    ['a program', 'POST', { host: '127.0.0.1:8000' }, null],
    ['a program that says localhost', 'POST', { host: 'localhost:8000' }, null],
    ['a name below localhost', 'GET', { host: 'payments.localhost:8000' }, null],
    ['IPv6', 'GET', { host: '[::1]:8000' }, null],
    ['a rebound name', 'GET', { host: 'evil.test:8000' }, 'host_refused'],
    ['a name that begins like ours', 'GET', { host: 'localhost.evil.test' }, 'host_refused'],
    ['an address of the network', 'GET', { host: '192.0.2.1' }, 'host_refused'],
    [
      'our page',
      'POST',
      { host: 'localhost:8000', origin: 'http://localhost:8000', 'sec-fetch-site': 'same-origin' },
      null,
    ],
    [
      'another site',
      'POST',
      { host: 'localhost:8000', origin: 'https://evil.test' },
      'origin_refused',
    ],
    [
      'another port',
      'POST',
      { host: 'localhost:8000', origin: 'http://localhost:3000' },
      'origin_refused',
    ],
    ['a sandboxed page', 'POST', { host: 'localhost:8000', origin: 'null' }, 'origin_refused'],
    [
      'a form without an origin',
      'PUT',
      { host: 'localhost:8000', 'sec-fetch-site': 'cross-site' },
      'origin_refused',
    ],
    [
      'a sibling',
      'DELETE',
      { host: 'localhost:8000', 'sec-fetch-site': 'same-site' },
      'origin_refused',
    ],
    [
      'a link that is followed',
      'GET',
      { host: 'localhost:8000', 'sec-fetch-site': 'cross-site' },
      null,
    ],
  ]
  for (const [what, method, headers, refused] of table) {
    assert.equal(local(request({ method, headers })), refused, what)
    assert.equal(local(request({ method, headers })), refused, `${what}, a second time`)
  }
  assert.equal(hostAndOriginCheck('box.test')(request({ headers: { host: 'box.test:80' } })), null)
  const open = hostAndOriginCheck(null)
  assert.equal(open(request({ headers: { host: 'gateway:8002' } })), null)
  const other = { host: 'gateway:8002', origin: 'https://evil.test' }
  assert.equal(open(request({ method: 'POST', headers: other })), 'origin_refused')
})

test('an allowance is taken before it is used, comes back with its window, and is bounded', () => {
  const clock = manualClock()
  const { elapsedMs } = clock
  const wrong = allowance({ max: 2, windowMs: 1_000, elapsedMs, keysMax: 3 })
  assert.deepEqual([wrong.take('a'), wrong.take('a'), wrong.take('a')], [0, 0, 1_000])
  wrong.giveBack('a')
  assert.equal(wrong.take('a'), 0)
  assert.deepEqual([wrong.take('b'), wrong.take('c')], [0, 0])
  // From here on whoever is new shares one window with the others.
  assert.deepEqual([wrong.take('d'), wrong.take('e'), wrong.take('f')], [0, 0, 1_000])
  assert.equal(wrong.take('b'), 0)
  clock.advance(1_000)
  assert.deepEqual([wrong.take('a'), wrong.take('f')], [0, 0])
})

test('what is given back is taken again by whoever shares its window, and never more than was taken', () => {
  const clock = manualClock()
  const { elapsedMs } = clock
  const wrong = allowance({ max: 1, windowMs: 1_000, elapsedMs, keysMax: 1 })
  assert.deepEqual([wrong.take('a'), wrong.take('b'), wrong.take('c')], [0, 0, 1_000])
  wrong.giveBack('c')
  wrong.giveBack('c')
  assert.deepEqual([wrong.take('b'), wrong.take('c'), wrong.take('a')], [0, 1_000, 1_000])
  wrong.giveBack('nobody')
  clock.advance(999.5)
  assert.equal(wrong.take('a'), 1, 'at least a millisecond')
  clock.advance(0.5)
  assert.equal(wrong.take('a'), 0)
  wrong.giveBack('a')
  wrong.giveBack('a')
  assert.deepEqual([wrong.take('a'), wrong.take('a')], [0, 1_000])
})
