// Signs whatever the token request asks for in its field `lies`: members of the header and the payload, and claims to
// leave out. It ends when its standard input does, so that it never outlives what started it.
import { OAuth2Server } from 'oauth2-mock-server';

const server = new OAuth2Server();
for (const alg of ['RS256', 'ES256', 'ES512']) await server.issuer.keys.generate(alg, { kid: alg });

server.service.on('beforeTokenSigning', (token, request) => {
  Object.assign(token.payload, { sub: 'ci', aud: 'clickhouse', groups: ['analysts'] });
  const lies = JSON.parse(request.body.lies ?? '{}');
  Object.assign(token.header, lies.header);
  Object.assign(token.payload, lies.payload);
  for (const name of lies.without ?? []) delete (name === 'kid' ? token.header : token.payload)[name];
});

await server.start(0, '127.0.0.1');
// It would call itself localhost, which may mean ::1.
server.issuer.url = `http://127.0.0.1:${server.address().port}`;
process.stdout.write(`ready ${server.issuer.url}\n`);
process.stdin.on('end', () => process.exit(0)).resume();
