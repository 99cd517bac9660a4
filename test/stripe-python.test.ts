import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ROOT } from './sources.ts'
import { serveStripe } from './stripe-kit.ts'

const skip =
  spawnSync('python3', ['-c', 'import stripe']).status === 0
    ? false
    : 'the Python package is not installed: python3 -m pip install stripe'

test(
  'Stripe’s client for Python charges, refunds, pays out and is refused as at Stripe',
  { skip },
  async (t) => {
    const { stripeUrl } = await serveStripe(t)
    const script = join(ROOT, 'test/clients/stripe_flows.py')
    const { stdout } = await promisify(execFile)('python3', [script, stripeUrl])
    assert.deepEqual(JSON.parse(stdout), {
      status: 'succeeded',
      again: true,
      retrieved: 2_050,
      found: true,
      refund: ['succeeded', 50],
      refunds: 1,
      transfer: ['transfer', 700],
      transfers: 1,
      declined: ['CardError', 402, 'card_declined'],
      other: ['IdempotencyError', 400, null],
      unknown: ['InvalidRequestError', 404, 'resource_missing'],
      parameter: ['InvalidRequestError', 400, 'parameter_unknown'],
    })
  },
)
