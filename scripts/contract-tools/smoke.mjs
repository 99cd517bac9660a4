/**
 * What the SDK does, in a few lines that run on every runtime: `smoke.mjs <service>`. Prints
 * the name of the runtime if all of it works.
 */
import { amounts, connect, webhooks, WebhookInvalid } from 'payments-sdk'
import { fileKeys } from 'payments-sdk/file-keys'

const url = process.argv[2] ?? ''
const keys = await fileKeys(`keys-${Math.random()}`)
const { payments, users } = connect({ url, keys })

const opened = await users.create({ balance: '1000.00' })
if (!opened.ok) throw new Error(opened.problem.detail)
const user_id = opened.user.id

const first = await payments.deposit({ user_id, deposit: '200.10' }, { intent: 'one' })
const again = await payments.deposit({ user_id, deposit: '200.10' }, { intent: 'one' })
if (!first.ok || !again.ok) throw new Error('refused')
demand(!first.replayed && again.replayed, 'one intent is one payment')
demand(first.payment.payment_id === again.payment.payment_id, 'and the same one')

const ended = await payments.wait(first.payment.payment_id, { until: 'final' })
if (!ended.ok) throw new Error(ended.problem.detail)
demand(ended.payment.amount === '200.1' && ended.payment.status === 'success', 'it ends')

let listed = 0
for await (const one of payments.list({ user_id, limit: 1 })) listed += one.payment_id > 0 ? 1 : 0
demand(listed === 1, 'it is listed')

const refused = await payments.withdraw({ user_id, amount: '9999' })
demand(!refused.ok && refused.problem.code === 'insufficient_funds', 'a refusal is an answer')
demand(amounts.add('0.1', '0.2') === '0.3', 'no floats')
demand((await verdict('{"id":1}')) === 'signature_wrong', 'webhooks are checked')

const thrown = await payments
  .deposit({ user_id, deposit: '1' }, { signal: AbortSignal.abort() })
  .then(
    () => null,
    (/** @type {unknown} */ error) => error,
  )
demand(thrown !== null, 'a call can be ended')
await keys.close()
console.log(globalThis.navigator?.userAgent ?? `Node.js/${process.versions.node}`)

/** @param {string} body */
async function verdict(body) {
  const headers = {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(Date.now() / 1_000)),
    'webhook-signature': 'v1,AAAA',
  }
  const error = await webhooks.verify(body, headers, 'whsec_AAAA').catch((one) => one)
  return error instanceof WebhookInvalid ? error.fault : null
}

/**
 * @param {boolean} holds
 * @param {string} what
 */
function demand(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`)
}
