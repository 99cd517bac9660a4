import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noticeRoom } from '../src/charging/notice-room.ts'

const MEBIBYTE = 1_024 * 1_024

/** Fill whatever room there is in the name of a gateway; how many bodies of a mebibyte it takes. */
function fill(room: ReturnType<typeof noticeRoom>, gateway: string): number {
  let taken = 0
  while (room.take(gateway, `${gateway}${taken}`, MEBIBYTE) !== null) taken += 1
  return taken
}

test('room is taken by caller and in all, and given back once', () => {
  const room = noticeRoom(1)
  const first = room.take('http', 'first', MEBIBYTE)
  assert.notEqual(first, null)
  assert.equal(fill(room, 'http'), 15)
  assert.equal(room.take('http', 'last', 1), null, 'nothing is left')
  first?.()
  first?.()
  assert.notEqual(room.take('http', 'last', MEBIBYTE), null)
  assert.equal(room.take('http', 'first', 1), null, 'it was given back once')
})

test('what is sent in the name of one gateway takes no room from the others', () => {
  for (const gateways of [2, 4, 40]) {
    const room = noticeRoom(gateways)
    const share = Math.max(1, 16 / gateways)
    for (let at = 0; at < gateways; at += 1) assert.equal(fill(room, `g${at}`), share)
  }
})

test('a caller has its bound over all gateways', () => {
  const room = noticeRoom(2)
  assert.notEqual(room.take('http', 'one', MEBIBYTE), null)
  assert.equal(room.take('stripe', 'one', 1), null)
  assert.notEqual(room.take('stripe', 'two', MEBIBYTE), null)
})
