import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runClient, skipWithout } from './python.ts'
import { serveStripe } from './stripe-kit.ts'

test(
  'Stripe’s client for Python charges, refunds, pays out and is refused as at Stripe',
  { skip: skipWithout('stripe') },
  async (t) => {
    const { stripeUrl } = await serveStripe(t)
    assert.deepEqual(await runClient('stripe_flows.py', stripeUrl), {
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
