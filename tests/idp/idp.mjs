// A certified OpenID provider for the tests: real tokens, and hooks under /_test/ for the troubles of a real one.
// PORT=0 takes any free port; it ends when its standard input does, so that it never outlives the test that started it.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider, errors } from 'oidc-provider';

const KINDS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};

let generation = 0;
function newKeys() {
  generation += 1;
  return Object.entries(KINDS).map(([alg, make]) => ({
    ...make().privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${generation}`,
  }));
}

// JWT access tokens exist only per resource: `urn:clickhouse:ES256` names the audience and the algorithm.
function resourceServer(ctx, resource) {
  const [, audience, alg] = resource.split(':');
  if (!(alg in KINDS)) throw new errors.InvalidTarget();
  return {
    audience, scope: '', accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg } },
  };
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: ['not a secret: no browser signs in here'] },
    clients: [{
      client_id: 'ci', client_secret: 'secret', grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
    }],
    extraTokenClaims: () => ({ groups: ['analysts'] }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true, defaultResource: () => 'urn:clickhouse:RS256', getResourceServerInfo: resourceServer,
      },
    },
  });
}

// What stands at one of its addresses instead of the truth; `to` is the address that it names.
const LIES = {
  html: (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Sign in</html>'),
  empty: (_, response) => json(response, { keys: [] }),
  // A key that is good, in 50 MB.
  huge: ({ keys: [{ kty, n, e, kid }] }, response) => json(response, { keys: [{ kty, n, e, kid }], more: 'x'.repeat(50 << 20) }),
  redirect: ({ to }, response) => response.writeHead(302, { location: to }).end(),
  issuer: ({ issuer, to }, response) => json(response, { issuer: to, jwks_uri: `${issuer}/jwks` }),
  keys_elsewhere: ({ issuer, to }, response) => json(response, { issuer, jwks_uri: to }),
};

function json(response, body) {
  return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const server = createServer();
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const hits = { discovery: 0, jwks: 0, token: 0 };
  const troubles = { '/jwks': {}, '/.well-known/openid-configuration': {} };
  let keys = newKeys();
  let answer = provider(issuer, keys).callback();

  // A provider's keys are fixed for its life: rotation is another provider behind the same port.
  function rotate(drop) {
    const fresh = newKeys();
    keys = drop ? fresh : [...fresh, ...keys];
    answer = provider(issuer, keys).callback();
  }

  async function test(url, response) {
    const asked = url.searchParams;
    if (url.pathname === '/_test/rotate') rotate(asked.get('drop') === '1');
    else if (url.pathname === '/_test/jwks') troubles['/jwks'] = trouble(asked);
    else if (url.pathname === '/_test/discovery') troubles['/.well-known/openid-configuration'] = trouble(asked);
    else if (url.pathname !== '/_test/hits') return response.writeHead(404).end();
    return json(response, hits);
  }

  function trouble(asked) {
    return { status: Number(asked.get('fail') ?? 0), delay: Number(asked.get('delay') ?? 0), lie: LIES[asked.get('as')], to: asked.get('to') };
  }

  server.on('request', async (request, response) => {
    const url = new URL(request.url, issuer);
    if (url.pathname.startsWith('/_test/')) return test(url, response);
    if (url.pathname === '/.well-known/openid-configuration') hits.discovery += 1;
    if (url.pathname === '/token') hits.token += 1;
    if (url.pathname === '/jwks') hits.jwks += 1;
    const { status, delay, lie, to } = troubles[url.pathname] ?? {};
    if (delay) await new Promise((go) => { setTimeout(go, delay); });
    if (status) return response.writeHead(status).end('trouble that was asked for');
    return lie ? lie({ issuer, keys, to }, response) : answer(request, response);
  });
  process.stdout.write(`ready ${issuer}\n`);
});
process.stdin.on('end', () => process.exit(0)).resume();
