import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { Checked, Scope } from '../src/domain/api-key.ts'
import { admitter, openGuards, type GuardOptions } from '../src/http/auth.ts'
import { manualClock } from './harness.ts'

/** A request with these headers; a list stands for one that was sent several times. */
function request(given: Readonly<Record<string, string | string[]>>): IncomingMessage {
  const entries = Object.entries(given).map(([name, value]) => [name, [value].flat()] as const)
  const headers = Object.fromEntries(entries.map(([name, values]) => [name, values[0]]))
  const headersDistinct = Object.fromEntries(entries)
  return { method: 'POST', headers, headersDistinct } as unknown as IncomingMessage
}

/** Keys that are known by their tokens; nobody may ask the database. */
function known(
  keys: Readonly<Record<string, readonly Scope[]>>,
): NonNullable<GuardOptions['keys']> {
  return {
    check: () => assert.fail('asked'),
    peek(token): Checked | null {
      const scopes = keys[token]
      if (scopes === undefined) return null
      return scopes.length === 0 ? { ok: false } : { ok: true, id: token, scopes }
    },
  }
}

const admits = (options: GuardOptions) => admitter(openGuards(manualClock(), options))

const long = (length: number) => 'a'.repeat(length)

test('only a key that is known and may write opens the fast way in, by one header', () => {
  const keys = known({
    writes: ['read', 'write'],
    reads: ['read', 'operate'],
    revoked: [],
    [long(200)]: ['write'],
    [long(201)]: ['write'],
  })
  const admit = admits({ keys })
  const cases: readonly (readonly [authorization: string | string[] | null, admitted: boolean])[] =
    [
      ['Bearer writes', true],
      ['bearer writes', true],
      [`Bearer ${long(200)}`, true],
      [`Bearer ${long(201)}`, false],
      [null, false],
      ['Bearer reads', false],
      ['Bearer revoked', false],
      ['Bearer unknown', false],
      ['Bearer  writes', false],
      ['Bearer writes ', false],
      ['Basic writes', false],
      ['writes', false],
      [['Bearer writes', 'Bearer writes'], false],
      [['Bearer writes', ''], false],
    ]
  for (const [authorization, admitted] of cases) {
    const headers: Record<string, string | string[]> =
      authorization === null ? {} : { authorization }
    assert.equal(admit(request(headers)), admitted, String(authorization))
  }
})

test('where requests are counted, or come from a page of another site, the fast way in is closed', () => {
  const keys = known({ writes: ['write'] })
  const authorized = { authorization: 'Bearer writes' }
  assert.equal(admits({ keys, perSecondMax: 1 })(request(authorized)), false)
  assert.equal(admits({ keys, perSecondMax: 0 })(request(authorized)), true)
  const local = { loopback: '127.0.0.1' }
  const own = { host: '127.0.0.1:8000' }
  assert.equal(admits(local)(request(own)), true)
  assert.equal(admits({ ...local, perSecondMax: 1 })(request(own)), false)
  assert.equal(admits(local)(request({ host: 'evil.test' })), false)
  assert.equal(admits(local)(request({ ...own, origin: 'http://evil.test' })), false)
  assert.equal(admits(local)(request({ ...own, origin: 'http://127.0.0.1:8000' })), true)
  assert.equal(admits(local)(request({ ...own, 'sec-fetch-site': 'cross-site' })), false)
})
