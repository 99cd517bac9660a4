import { createSocket } from 'node:dgram'
import { isIP } from 'node:net'

/**
 * What a name answers: one list of addresses after the other, from the first again. A name without
 * any is never answered for.
 */
export type Zone = Readonly<Record<string, readonly (readonly string[])[]>>

const TYPES = { a: 1, cname: 5, aaaa: 28 } as const
const NO_SUCH_NAME = 3

/** The bytes of a name in a message. */
function named(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(`\0${label}`))
  for (const label of labels) label[0] = label.length - 1
  return Buffer.concat([...labels, Buffer.alloc(1)])
}

function bytesOf(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  // The URL writes out what stands for an address of IPv4.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = text.split('::')
  const [before, after] = [head, tail ?? ''].map((side) => side.split(':').filter(Boolean))
  const zeros = Array.from({ length: 8 - (before ?? []).length - (after ?? []).length }, () => '0')
  const groups = [...(before ?? []), ...zeros, ...(after ?? [])]
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

/** A record for the name `owner` that is good for no second longer. */
function record(owner: Buffer, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(type, 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([owner, fixed, data])
}

/**
 * Answer for the names of a zone, at port 53 of this machine. A name that stands in the answer of
 * another is what that one is called otherwise.
 */
export async function nameServer(zone: Zone): Promise<{ asked(name: string): number }> {
  const asked = new Map<string, number>()
  const recordsOf = (name: string, type: number): Buffer[] | null => {
    const answers = zone[name]
    if (answers === undefined) return null
    // Each is asked for both kinds of addresses: a turn is one question for those of IPv4.
    const turn = asked.get(name) ?? 0
    if (type === TYPES.a) asked.set(name, turn + 1)
    const owner = named(name)
    return (answers[turn % answers.length] ?? []).flatMap((address) => {
      const family = isIP(address)
      if (family === 0) {
        const other = record(owner, TYPES.cname, named(address))
        return [other, ...(recordsOf(address, type) ?? [])]
      }
      const own = family === 4 ? TYPES.a : TYPES.aaaa
      return own === type ? [record(owner, type, bytesOf(address))] : []
    })
  }
  const socket = createSocket('udp4')
  socket.on('message', (question, from) => {
    const end = question.indexOf(0, 12)
    const name = readName(question.subarray(12, end))
    if (zone[name]?.length === 0) return
    const records = recordsOf(name, question.readUInt16BE(end + 1))
    const head = Buffer.alloc(12)
    question.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8580 | (records === null ? NO_SUCH_NAME : 0), 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records?.length ?? 0, 6)
    const answer = [head, question.subarray(12, end + 5), ...(records ?? [])]
    socket.send(Buffer.concat(answer), from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(53, '127.0.0.1', resolve))
  return { asked: (name) => asked.get(name) ?? 0 }
}

function readName(bytes: Buffer): string {
  const labels: string[] = []
  for (let at = 0; at < bytes.length; at += 1 + (bytes[at] ?? 0)) {
    labels.push(bytes.toString('latin1', at + 1, at + 1 + (bytes[at] ?? 0)))
  }
  return labels.join('.').toLowerCase()
}
