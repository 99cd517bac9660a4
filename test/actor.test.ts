import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FastifyRequest } from 'fastify'
import { actorOf } from '../src/http/actor.ts'

/** Of a request, what says who acts. */
function asked(keyId: string | null, actor?: string): FastifyRequest {
  // Nothing else of a request is read.
  return { keyId, headers: { 'x-actor': actor } } as unknown as FastifyRequest
}

test('with an API key the record names the key, whatever name the request gives itself', () => {
  assert.equal(actorOf(asked('k1')), 'key:k1')
  for (const name of ['jane', 'gateway', 'key:k2', 'a b', '']) {
    assert.equal(actorOf(asked('k1', name)), 'key:k1', name)
  }
})

test('without a key it names whom the request names, and nobody can be a key', () => {
  assert.equal(actorOf(asked(null)), 'anonymous')
  assert.equal(actorOf(asked(null, 'jane')), 'jane')
  for (const name of ['gateway', 'key:k2', 'CLI:root', 'a b', '']) {
    assert.equal(actorOf(asked(null, name)), null, name)
  }
})
