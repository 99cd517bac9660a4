// A receiver of webhooks: it checks who sent each, says what it was told, and answers. It needs
// nothing but Node.js; libraries of Standard Webhooks do the same in other languages.
// Start it with a port and the secret: node examples/receiver.mjs 3000 whsec_…
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const [port = '', secret = ''] = process.argv.slice(2)
const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
// Under an empty key anybody could sign.
if (!/^\d{1,5}$/.test(port) || !secret.startsWith('whsec_') || key.length < 24) {
  console.error('Usage: node examples/receiver.mjs <port> <whsec_…>')
  process.exit(2)
}
const TOLERANCE_SECONDS = 300

/** Whether a message is genuine: signed with our secret, and not one of long ago sent again. */
function isGenuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': given } = headers
  if (Math.abs(Date.now() / 1_000 - Number(time)) > TOLERANCE_SECONDS) return false
  const due = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest()
  // There are two while a secret is being changed.
  return String(given)
    .split(' ')
    .some((one) => {
      const mac = Buffer.from(one.replace('v1,', ''), 'base64')
      return one.startsWith('v1,') && mac.length === due.length && timingSafeEqual(mac, due)
    })
}

const server = createServer(async (request, response) => {
  const parts = []
  for await (const part of request) parts.push(part)
  // The bytes as they came: parsed and written again they would be others.
  const body = Buffer.concat(parts)
  if (!isGenuine(request.headers, body)) return response.writeHead(400).end()
  const { type, data } = JSON.parse(body.toString())
  console.log(`${request.headers['webhook-id']}: ${type}`, data)
  // Do the work later, and once for each webhook-id: an event may arrive twice.
  response.writeHead(204).end()
})
server.listen(Number(port), '127.0.0.1', () => console.log(`Waiting on port ${port}`))
