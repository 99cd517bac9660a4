/** Values no caller should send, as JSON texts; some are no JSON at all. */
const NUMBERS = [
  ['0', '-0', '-1', '1', '2', '0.1', '0.01', '0.001', '0.005', '1.005', '1.5', '-0.01', '1e2'],
  ['1e-2', '1e-3', '1e-7', '1e21', '1e22', '1e300', '1e308', '1e309', '1e400', '-1e400', '1e-400'],
  ['9999999999.99', '9999999999.995', '10000000000', '999999999999999', '9007199254740991'],
  ['9007199254740992', '9007199254740993', '9223372036854775807', '9223372036854775808'],
  ['2147483647', '2147483648', '4294967296', '12345678901234567890', '0.1000000000000000055'],
  ['NaN', 'Infinity', '-Infinity', '010', '.5', '5.', '+1', '0x10', '1_000', '1,5', '--1', '1n'],
].flat()

const TEXTS = [
  ['', ' ', '0', '-1', '10', '10.5', '10.50', '0.001', ' 5 ', '5 ', '010', '.5', '5.', '+1', '-0'],
  [
    'NaN',
    'Infinity',
    '1e3',
    '0x10',
    '1_000',
    '1,000.00',
    '٣',
    '１０',
    '10\u200b',
    '10\n',
    '10\r\n',
  ],
  ['true', 'false', 'null', 'undefined', 'None', '[object Object]', '[]', '{}', '1;', '1--'],
  [
    '9223372036854775807',
    '9223372036854775808',
    '10000000000.00',
    '9'.repeat(40),
    '9'.repeat(5_000),
  ],
  ["'; drop table payments; --", "' or '1'='1", '1 union select * from users', '$1', '%s%n', '\\'],
  [
    '<script>alert(1)</script>',
    '{{7*7}}',
    '${7*7}',
    '../../etc/passwd',
    '%00',
    '%2e%2e%2f',
    '\\x00',
  ],
  ['a\u0000b', '\u0001', '\u001b[31m', '\u007f', '\u0085', '\u2028', '\ufeff', '\ufffd', '\uffff'],
  ['é', 'ß', 'İ', 'ﬀ', '💰', '👩‍👩‍👧‍👦', 'Ω'.repeat(300), 'a\u0301', '\u202egnp.exe', '\u200b'],
  ['ＵＳＤ'],
  ['x'.repeat(101), 'x'.repeat(256), 'x'.repeat(501), 'x'.repeat(4_000), 'x'.repeat(60_000)],
  ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'length'],
  [
    'deposit',
    'withdraw',
    'refund',
    'DEPOSIT',
    'success',
    'failed',
    'unknown',
    'processing',
    'open',
  ],
  ['2030-01-01T00:00:00Z', '9999999-01-01', 'infinity', 'now', '2030-02-30T00:00:00Z', '1e20'],
  ['0000-00-00T00:00:00Z', '2030-01-01', '2030-01-01T25:00:00Z', '+275760-09-13T00:00:00.001Z'],
  ['2030-01-01T00:00:00+24:00', '0001-01-01T00:00:00Z', '2030-01-01T23:59:60Z', '1/1/2030'],
  ['http_502', 'timeout', 'jane', 'order-1', '"quoted"', 'a,b', 'a b', '"', '""', 'key\tkey'],
].flat()

const SHAPES = [
  ['null', 'true', 'false', '[]', '{}', '[1]', '["1"]', '[[1]]', '[null]', '{"a":1}', '{"$gt":0}'],
  [
    '{"__proto__":{"a":1}}',
    '{"constructor":{}}',
    '{"toString":1}',
    '{"length":-1}',
    '{"a":1,"a":2}',
  ],
  ['{"toJSON":null}', '[{"a":[{"b":[{"c":[1]}]}]}]', '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"'],
  [`${'['.repeat(20)}${']'.repeat(20)}`, `${'['.repeat(30_000)}`, '"\\x41"', "'1'", '/**/1', '1 2'],
  [
    `[${'0,'.repeat(5_000)}0]`,
    `{${'"a":{'.repeat(9)}${'}'.repeat(10)}`,
    '"\t"',
    '"',
    '{',
    '[',
    ',',
  ],
].flat()

/** Every hostile value as it stands in a body. */
export const JSON_VALUES: readonly string[] = [
  ...NUMBERS,
  ...SHAPES,
  ...TEXTS.map((text) => JSON.stringify(text)),
]

/** Every hostile value as it stands in a path, a query or a header, before it is encoded. */
export const TEXT_VALUES: readonly string[] = [...NUMBERS, ...TEXTS]

/** Positions at the ends of what an id can be, and beyond. */
export const POSITIONS: readonly string[] = [
  ['0', '-1', '1', '9223372036854775807', '9223372036854775808', '9999999999999999999', '1e3', ''],
  ['18446744073709551616', '9'.repeat(30), '-9223372036854775808', '00000000000000000001', '1.5'],
].flat()

/** Names of fields and parameters that nobody documented. */
export const NAMES: readonly string[] = [
  ['status', 'fee', 'commission', 'id', 'shard', 'tenant_id', 'created_at', 'balance', 'held'],
  ['__proto__', 'constructor', 'prototype', 'toString', 'a', '', ' ', 'USER_ID', 'user_id ', 'é'],
  [
    '$where',
    'user_id[]',
    'user.id',
    'amount\u0000',
    'x'.repeat(300),
    'toJSON',
    'length',
    '\ud83d\ude00',
  ],
].flat()

/** Headers that any request may carry. */
export const HEADERS: readonly string[] = [
  ['Content-Type', 'Content-Encoding', 'X-Request-Id', 'Accept', 'Expect', 'X-Forwarded-For'],
  ['Idempotency-Key', 'X-Actor', 'Authorization', 'Host', 'Accept-Encoding', 'Cookie', 'Range'],
].flat()
