import assert from 'node:assert/strict'
import type { FastifyRequest } from 'fastify'
import { test } from 'node:test'
import { etagOf, isKnown } from '../src/http/etag.ts'

test('who names what they have is told that it is the same, however they write it', () => {
  const etag = etagOf('body')
  assert.notEqual(etag, etagOf('other'))
  const known = (given?: string) => {
    const headers = given === undefined ? {} : { 'if-none-match': given }
    // What the function reads of a request.
    return isKnown({ headers } as unknown as FastifyRequest, etag)
  }
  for (const same of [etag, `W/${etag}`, `"x", ${etag}`, `"x",W/${etag} , "y"`, '*', ` ${etag} `]) {
    assert.ok(known(same), same)
  }
  for (const other of [undefined, '', '"x"', 'W/"x"', etag.slice(1, -1), `w/${etag}`]) {
    assert.ok(!known(other), other)
  }
})
