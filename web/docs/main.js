// Shows the OpenAPI document of the server that this page comes from. Votes are signed, which a page cannot do:
// only what is read can be tried out.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#interface",
  deepLinking: true,
  supportedSubmitMethods: ["get"],
  validatorUrl: null,
});
