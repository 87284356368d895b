import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Runs the statements of a file on a Flink of its own, in this process, until it is killed. `SET 'a' = 'b'` sets an option. */
public class Votes {
  public static void main(String[] args) throws Exception {
    Configuration options = new Configuration();
    TableEnvironment tables = null;
    for (String statement : Files.readString(Path.of(args[0])).split(";\n\n|;\n(?=SET|CREATE)")) {
      String sql = statement.strip();
      if (sql.startsWith("SET ")) {
        String[] parts = sql.split("'");
        options.setString(parts[1], parts[3]);
        continue;
      }
      if (tables == null) {
        tables = TableEnvironment.create(EnvironmentSettings.newInstance().withConfiguration(options).build());
      }
      var result = tables.executeSql(sql);
      if (sql.startsWith("EXECUTE")) result.await();
    }
  }
}
