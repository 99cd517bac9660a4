const words = (text: string): string[] => text.trim().split(/\s+/)

/** Hosts that no event may ever be sent to, as a URL may spell them. */
export const PRIVATE: readonly string[] = [
  // This machine, in every spelling that a URL knows.
  ...words('127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f.1 0x7f000001 0177.0.0.1'),
  ...words('017700000001 0x7f.0.0.0x1 00000177.1 ①②⑦.0.0.1 １２７.0.0.1 127。0。0。1 127.0.0.1.'),
  ...words('%31%32%37.0.0.1 0.0.0.0 0 0.1.2.3 0x0 00000000000'),
  // Private and shared networks, and those of clouds' metadata.
  ...words('10.0.0.1 10.255.255.255 167772161 0xa000001 012.0.0.1 172.16.0.1 172.31.255.254'),
  ...words('192.168.0.1 192.168.255.1 3232235521 169.254.169.254 169.254.0.1 0xa9fea9fe'),
  ...words('2852039166 0251.0376.0251.0376 169.254.43518 169.254.170.2 169.254.169.253'),
  ...words('100.64.0.1 100.127.255.254 100.100.100.200 168.63.129.16 192.0.0.1 192.0.0.192'),
  // Documentation, measuring, relays, multicast, what is reserved.
  ...words('192.0.2.7 198.18.0.1 198.19.255.254 198.51.100.9 203.0.113.9 192.88.99.1'),
  ...words('192.31.196.1 192.52.193.1 192.175.48.1 224.0.0.1 239.255.255.250 240.0.0.1'),
  ...words('255.255.255.255'),
  // IPv6: this machine, and what stands for an address of IPv4.
  ...words('[::] [::1] [0:0:0:0:0:0:0:1] [0000::0001] [::127.0.0.1] [::7f00:1] [::10.0.0.1]'),
  ...words('[::8.8.8.8] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [::FFFF:a00:1]'),
  ...words('[::ffff:169.254.169.254] [::ffff:8.8.8.8] [::ffff:0:127.0.0.1] [::ffff:0:a00:1]'),
  ...words('[64:ff9b::7f00:1] [64:ff9b::10.0.0.1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::1]'),
  ...words('[64:ff9b:1:7f00:0:100::] [2002:7f00:1::] [2002:a00:1::1] [2002:a9fe:a9fe::1]'),
  ...words('[2001::1] [2001:0:a00:1::] [2001:10::1] [2001:20::1] [2001:db8::1] [3fff::1]'),
  // IPv6: local networks, metadata services, and what was never given out.
  ...words('[fc00::1] [fd00:ec2::254] [fd20:ce::254] [fd12:3456::1] [fe80::1] [febf::1]'),
  ...words('[fe80::a9fe:a9fe] [fec0::1] [ff02::1] [ff05::1:3] [100::1] [100:0:0:1::1] [5f00::1]'),
  ...words('[4000::1] [1::1] [8000::1] [e000::1]'),
]

/** Hosts that belong to the public, some of them next to what does not. */
export const PUBLIC: readonly string[] = [
  ...words('8.8.8.8 1.1.1.1 93.184.216.34 172.32.0.1 172.15.255.254 100.128.0.1 100.63.255.254'),
  ...words('11.0.0.1 9.255.255.255 126.255.255.254 128.0.0.1 169.253.0.1 169.255.0.1 192.169.0.1'),
  ...words('223.255.255.254 168.63.129.17 [2606:4700::1111] [2a00:1450::1] [2003::1] [3ffe::1]'),
]

/** The host of a URL that spells it so, without brackets. */
export const hostOf = (spelled: string): string =>
  new URL(`https://${spelled}/`).hostname.replace(/^\[|\]$/g, '')
