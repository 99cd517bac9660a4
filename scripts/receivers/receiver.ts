/**
 * An endpoint that verifies with `standardwebhooks` of npm. Like the others in this folder it takes
 * its secret from standard input, a line each, and writes a line for each message:
 * `ok|refused <id> <SHA-256 of the body> <status answered>`.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { Webhook } from 'standardwebhooks'

const seen = new Set<string>()
let webhook: Webhook | null = null

createInterface({ input: process.stdin })
  .on('line', (secret) => {
    webhook = new Webhook(secret)
    console.log('secret')
  })
  .on('close', () => process.exit())

const server = createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => {
    const body = Buffer.concat(parts)
    const id = String(request.headers['webhook-id'])
    const digest = createHash('sha256').update(body).digest('hex')
    const genuine = verifies(body, request.headers as Record<string, string>)
    const status = genuine ? statusFor(id, digest) : 401
    console.log(`${genuine ? 'ok' : 'refused'} ${id} ${digest} ${status}`)
    response.writeHead(status, { 'content-length': 0 }).end()
  })
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  console.log(`port ${port}`)
})

function verifies(body: Buffer, headers: Record<string, string>): boolean {
  try {
    webhook?.verify(body, headers)
    return webhook !== null
  } catch {
    return false
  }
}

/** One message of sixteen is to be sent again, the same for every receiver. */
function statusFor(id: string, digest: string): number {
  if (seen.has(id) || !digest.endsWith('0')) return 204
  seen.add(id)
  return 500
}
