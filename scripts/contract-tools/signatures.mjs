/**
 * Messages that the npm package `standardwebhooks` signs are those that the SDK believes, and no
 * others: 2,000 random ones, and each with one bit changed.
 */
import { createHash } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { verify } from './sdk/webhooks.js'

const COUNT = 2_000

/**
 * Bytes that are the same in every run.
 *
 * @param {string} name
 */
const bytesOf = (name) => createHash('sha256').update(name).digest()

for (let number = 0; number < COUNT; number += 1) {
  const secret = `whsec_${bytesOf(`secret ${number}`).toString('base64')}`
  const id = `msg_${number}`
  const at = new Date()
  const body = JSON.stringify({
    id,
    type: 'payment.succeeded',
    data: { amount: '10.00', text: bytesOf(id).toString() },
  })
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  }
  const event = await verify(body, headers, secret)
  if (event.id !== id) throw new Error(`${id} is read as another`)

  const changed = Buffer.from(body)
  const place = number % changed.length
  changed[place] = (changed[place] ?? 0) ^ 1
  const believed = await verify(changed, headers, secret).then(
    () => true,
    () => false,
  )
  if (believed) throw new Error(`${id} is believed although a bit of it is another`)
}
