import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closing } from '../src/process/closing.ts'

test('what was opened is closed once, in reverse order, whatever fails on the way', async () => {
  const stack = closing()
  const closed: string[] = []
  const closes = (name: string) => async () => {
    await Promise.resolve()
    closed.push(name)
  }
  stack.push(closes('database'))
  stack.push(() => Promise.reject(new Error('the server')))
  stack.push(() => {
    throw new Error('the worker')
  })
  stack.push(closes('gateway'))
  await assert.rejects(stack.close(), /the worker/)
  await assert.rejects(stack.close(), /the worker/)
  assert.deepEqual(closed, ['gateway', 'database'])
})

test('what is opened while or after everything closes is closed as well', async () => {
  const stack = closing()
  const closed: string[] = []
  stack.push(() => void closed.push('first'))
  stack.push(() => stack.push(() => void closed.push('opened meanwhile')))
  await stack.close()
  stack.push(() => void closed.push('opened late'))
  assert.deepEqual(closed, ['opened meanwhile', 'first', 'opened late'])
})
