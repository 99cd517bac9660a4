import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from 'commander'
import { refusedBy } from '../src/adapters/commands.ts'
import { returnCommand } from '../src/refunds/return-command.ts'
import { testWorld } from './harness.ts'
import { done } from './refunds-kit.ts'

test('a command that is refused says what is left, of which payment, and since when', () => {
  const until = new Date('2030-01-01T00:00:00Z')
  const cases: readonly (readonly [Parameters<typeof refusedBy>[0], string])[] = [
    [{ code: 'not_returnable', atMost: 1_500n, exponent: 3 }, 'not_returnable (at most 1.5)'],
    [{ code: 'not_returnable', atMost: 0n, exponent: 0 }, 'not_returnable (at most 0)'],
    [{ code: 'return_differs', paymentId: 9n }, 'return_differs (payment 9)'],
    [
      { code: 'evidence_contradicts', paymentId: 9n, evidence: 'declined' },
      'evidence_contradicts (payment 9, evidence: declined)',
    ],
    [{ code: 'secrets_full', until }, 'secrets_full (until 2030-01-01T00:00:00.000Z)'],
    [{ code: 'letter_not_open' }, 'letter_not_open'],
  ]
  for (const [refusal, named] of cases) {
    assert.equal(refusedBy(refusal).message.startsWith(`Refused: ${named}. `), true, named)
  }
})

test('a command refused for the decimals of its amount names those of the currency', async (t) => {
  const world = await testWorld(t)
  const deposit = await done(world)
  await world.sql("update payments set currency = 'JPY' where id = $1", [deposit.id])
  const program = new Command()
  const { db } = world
  const policies = { refundFee: 'keep', returnFee: 'keep', currency: 'USD' } as const
  returnCommand(program, async () => ({ db, ...policies, close: async () => {} }))
  const words = ['--kind', 'charged_back', '--ref', 'rt_1', '--reason', 'seen']
  const book = async (amount: string) => {
    await program.parseAsync(['return', `${deposit.id}`, '--amount', amount, ...words], {
      from: 'user',
    })
  }
  await assert.rejects(book('1.5'), /Refused: amount_precision\. .* has no decimals;/)
  await assert.rejects(book('99999999'), /Refused: not_returnable \(at most \d+\)\. /)
})
